# SPDX-License-Identifier: Apache-2.0
.DEFAULT_GOAL := help
.PHONY: help build test check bench demo demo-stop fuzz soak powercut clean
SHELL := /bin/bash

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

build: ## bin/firn and bin/firnd
	@scripts/build.sh

demo: ## install what is missing, build, start, and walk the whole workflow with the real clients; leaves it running
	@scripts/demo.sh start

demo-stop: ## stop what make demo left running, and say what it kept
	@scripts/demo.sh stop

test: ## every test, with real Docker, PostgreSQL and clients; installs, starts and stops what it needs
	@scripts/test.sh

check: ## format, vet, lint, import floors, docs
	@scripts/check.sh

bench: ## speed, side by side with peers, as ratios: make bench, or make bench B=job_start
	@scripts/bench.sh $(B)

fuzz: ## every fuzz target for 30 seconds each: make fuzz, or make fuzz T=5m
	@scripts/fuzz.sh $(T)

soak: ## push, pull, delete, collect and kill at random for 10 minutes: make soak, or make soak T=1h
	@scripts/soak.sh $(T)

powercut: ## cut the power of the disk again and again for 10 minutes, as root: make powercut, or make powercut T=1h
	@scripts/powercut.sh $(T)

clean: ## remove what was built; caches in .cache stay
	rm -rf bin
