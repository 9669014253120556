#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pushes, pulls, deletions and collections at random for a while, with a server that is killed again and again, over a directory with
# SQLite and over S3 with PostgreSQL; each acknowledged tag and `firnd check` must be clean at the end: soak.sh [10m]
set -euo pipefail
source "$(dirname "$0")/services.sh"
need_packages curl=curl
need_go
trap stop_services EXIT
postgres_up
s3_up
cd "$FIRN_ROOT"
FIRN_TEST_SOAK=${1:-10m} go test -count=1 -run '^TestSoak$' -v -timeout 0 ./cmd/firnd
