#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Measures side by side with peers: bench.sh [NAME...]
set -euo pipefail
source "$(dirname "$0")/services.sh"
need_packages debootstrap=debootstrap
need_go
trap stop_services EXIT
docker_up
clients_up
distribution_up
cd "$FIRN_ROOT"
scripts/build.sh
say "registries beside firnd: the durable limit and distribution; not zot and olareg, which the module proxy does not have"
go run ./bench "$@"
