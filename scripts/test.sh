#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every test: Go with the race detector over SQLite and PostgreSQL, blobs in directories and S3, and a real Docker Engine, the OCI conformance suite, and the
# whole line with the real clients. Prints the counts at the end.
set -euo pipefail
source "$(dirname "$0")/services.sh"
need_packages git=git curl=curl gcc=gcc /usr/include/stdio.h=libc6-dev debootstrap=debootstrap /bin/busybox=busybox-static \
	openssl=openssl /sbin/ip=iproute2 /sbin/losetup=mount /sbin/mkfs.ext4=e2fsprogs /sbin/mkfs.xfs=xfsprogs
need_go
trap stop_services EXIT
docker_up
postgres_up
s3_up
clients_up
oci_up
cd "$FIRN_ROOT"
scripts/build.sh

echo "== base image"
bin/firnd base build cpu --local
echo "== go test -race"
log=$FIRN_CACHE/go-test.json
status=0
CGO_ENABLED=1 go test -race -count=1 -timeout 30m -json ./... >"$log" || status=$?
python3 scripts/gotest.py "$log" || status=1

echo "== end to end with the real clients"
"$FIRN_TEST_CLIENTS/venv/bin/python" -m pytest -q e2e || status=1
echo "== connector 5"
"$FIRN_TEST_CLIENTS/venv5/bin/python" -m pytest -q e2e || status=1
echo "== gosnowflake"
(cd e2e/go && go test -count=1 ./...) || status=1
exit $status
