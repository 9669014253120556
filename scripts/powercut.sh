#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cuts the power of a disk under a working server for a while, again and again, on each file system and database that there is here:
# all that was acknowledged must be there after each cut. Needs root: powercut.sh [10m]
set -euo pipefail
source "$(dirname "$0")/services.sh"
need_packages curl=curl /sbin/losetup=mount /sbin/mkfs.ext4=e2fsprogs /sbin/mkfs.xfs=xfsprogs
need_go
trap stop_services EXIT
postgres_up
cd "$FIRN_ROOT"
FIRN_TEST_POWER_CUTS=${1:-10m} go test -count=1 -run '^TestPowerCut$' -v -timeout 0 ./cmd/firnd
