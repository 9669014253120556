#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole workflow on this machine, with the real clients: demo.sh start | stop. What it makes is in .demo.
set -euo pipefail
source "$(dirname "$0")/services.sh"
cd "$FIRN_ROOT"
DEMO=$FIRN_ROOT/.demo
LISTEN=${FIRN_DEMO_LISTEN:-127.0.0.1:8085}

running() { [ -s "$DEMO/firnd.pid" ] && kill -0 "$(cat "$DEMO/firnd.pid")" 2>/dev/null; }

start() {
	local begun=$SECONDS
	need_packages curl=curl debootstrap=debootstrap
	docker_up
	if [ ${#STARTED[@]} -gt 0 ]; then mkdir -p "$DEMO" && cp "$FIRN_CACHE/dockerd.pid" "$DEMO/dockerd.pid"; fi
	clients_up
	say "building bin/firn and bin/firnd"
	scripts/build.sh
	mkdir -p "$DEMO"
	if running; then say "firnd runs already"; else
		rm -f "$DEMO/ready"
		bin/firnd serve --data-dir "$DEMO/data" --listen "$LISTEN" >"$DEMO/ready" 2>"$DEMO/firnd.log" &
		echo $! >"$DEMO/firnd.pid"
		local i
		for i in $(seq 300); do
			grep -q '^ready ' "$DEMO/ready" && break
			running || { cat "$DEMO/firnd.log" >&2; rm -f "$DEMO/firnd.pid"; fail "firnd did not start"; }
			sleep 0.1
		done
	fi
	say "firnd serves http://$LISTEN"
	say "building the base image (a minute when it is new) and publishing it"
	as_root bin/firnd base build cpu --data-dir "$DEMO/data" --listen "$LISTEN" >"$DEMO/base.log" 2>&1 || { tail -n 20 "$DEMO/base.log" >&2; fail "the base image could not be built: see $DEMO/base.log"; }
	tail -n 1 "$DEMO/base.log"
	"$FIRN_TEST_CLIENTS/venv/bin/python" e2e/demo.py "$LISTEN" "$DEMO/data/admin-password" "$DEMO/work" "$(cat images/base/VERSION)"
	cat <<TEXT

Firn is left running. It took $((SECONDS - begun)) s in all. Where to look next:
  server        http://$LISTEN   (log: $DEMO/firnd.log)
  password      $DEMO/data/admin-password   (user ADMIN)
  SQL           SNOWFLAKE_HOME=$DEMO/work/snow $FIRN_TEST_CLIENTS/venv/bin/snow sql -c admin -q 'SHOW CUSTOM RUNTIME ENVIRONMENTS'
  jobs          SNOWFLAKE_HOME=$DEMO/work/snow $FIRN_TEST_CLIENTS/venv/bin/snow sql -c admin -q 'SHOW JOB SERVICES IN ACCOUNT'
  images        docker login $LISTEN -u ADMIN
  what it did   e2e/line.py and e2e/demo.py
  the story     docs/quickstart.md
Stop it with: make demo-stop
TEXT
}

stop() {
	if running; then
		local pid
		pid=$(cat "$DEMO/firnd.pid")
		kill "$pid"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
		echo "firnd is stopped"
	else
		echo "firnd does not run"
	fi
	rm -f "$DEMO/firnd.pid"
	if [ -s "$DEMO/dockerd.pid" ]; then
		as_root kill "$(cat "$DEMO/dockerd.pid")" 2>/dev/null && echo "the Docker Engine that the demo started is stopped"
		rm -f "$DEMO/dockerd.pid"
	fi
	echo "kept: $DEMO (database, images, password; the next make demo goes on with it; delete it to begin anew),"
	echo "      the docker images firn/*, firn-demo/* and $LISTEN/*, and the clients in $FIRN_CACHE"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*) fail "usage: demo.sh start | stop" ;;
esac
