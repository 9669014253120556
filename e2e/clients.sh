#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the virtual environments of the real clients, from the pins beside this file: clients.sh DIRECTORY [PYTHON]
#   DIRECTORY/venv       connector 4, Snowpark, snowflake-ml-python, pytest; bin/snow leads to the tool of venv-snow
#   DIRECTORY/venv5      connector 5
#   DIRECTORY/venv-snow  the snow command line tool
# An environment whose pins have not changed is left alone. Needs Python 3.11 with venv and a package index.
set -eu
pins=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
root=$(cd "$1" && pwd)
python=${2:-python3.11}

make_venv() {
	cmp -s "$pins/$2" "$root/$1/.pins" && return
	rm -rf "${root:?}/$1"
	"$python" -m venv "$root/$1"
	"$root/$1/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$pins/$2"
	"$root/$1/bin/pip" check
	cp "$pins/$2" "$root/$1/.pins"
}

make_venv venv requirements.txt
make_venv venv5 requirements-connector5.txt
make_venv venv-snow requirements-snow.txt
ln -sf ../../venv-snow/bin/snow "$root/venv/bin/snow"
