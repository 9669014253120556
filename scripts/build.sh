#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds bin/firn and bin/firnd: static, reproducible.
set -euo pipefail
source "$(dirname "$0")/services.sh"
need_go
cd "$FIRN_ROOT"
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/ ./cmd/firn ./cmd/firnd
