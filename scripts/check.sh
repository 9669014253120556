#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Format, vet, lint, import floors, generated files, links in docs. No service is needed.
set -euo pipefail
source "$(dirname "$0")/services.sh"
need_go
cd "$FIRN_ROOT"

step() { printf '== %s\n' "$*"; }

step format
unformatted=$(gofmt -s -l cmd internal images bench)
[ -z "$unformatted" ] || fail "not gofmt-ed: $unformatted"

step vet
go vet ./...

step "modules are tidy"
go mod tidy -diff

step lint
tools_sum=$(cat tools/dev/go.mod tools/dev/go.sum | sha256sum | cut -c1-16)
tools=$FIRN_CACHE/tools-$tools_sum
if [ ! -x "$tools/golangci-lint" ]; then
	(cd tools/dev && go build -o "$tools/" tool)
fi
"$tools/golangci-lint" run --allow-parallel-runners ./...

step "import floors and package comments"
go test -count=1 ./internal/house

step "generated files"
before=$(git diff -- docs internal cmd | sha256sum)
go generate ./...
[ "$before" = "$(git diff -- docs internal cmd | sha256sum)" ] || { git diff --stat -- docs internal cmd; fail "go generate changed files: commit what it made"; }

step "docs links"
scripts/links.sh

step "licences of dependencies"
go test -count=1 ./internal/house -run Licence
