#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Resolves requirements.in into requirements-<python>.txt, section by section. Needs uv; writes nothing else.
#   ./lock.sh [3.11]
# A section holds what its own lines pull in and the sections before it do not have yet. All sections come out of one
# resolution, so they fit together and can be installed one after the other without looking at dependencies again.
set -eu
cd "$(dirname "$0")"
python=${1:-3.11}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

stub=$(sed -n 's/^xgboost==//p' requirements.in)
python3 stub.py xgboost "$stub" "xgboost-cpu==${stub%+cpu}" "$work"

resolve() {
	uv pip compile --quiet --no-header --no-annotate --find-links "$work" \
		--python-version "$python" --python-platform x86_64-manylinux_2_36 "$@"
}

resolve --output-file "$work/all" requirements.in >/dev/null
: >"$work/asked"
: >"$work/done"
{
	echo "# Everything in Firn's CPU base image for Python $python: what pip freeze says inside it."
	echo "# Written by lock.sh from requirements.in; the sections are layers of the image."
	for layer in $(sed -n 's/^# layer: //p' requirements.in); do
		awk -v want="$layer" '/^# layer: /{on = $3 == want} on && !/^#/' requirements.in >>"$work/asked"
		resolve --constraint "$work/all" --output-file "$work/closure" "$work/asked" >/dev/null
		printf '\n# layer: %s\n' "$layer"
		grep == "$work/closure" | grep -vxFf "$work/done" || true
		grep == "$work/closure" >"$work/done"
	done
} >"$work/locked"
cp "$work/locked" "requirements-$python.txt"
