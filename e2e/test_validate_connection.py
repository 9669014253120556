# SPDX-License-Identifier: Apache-2.0
"""`firn validate -c NAME` beside `snow -c NAME`: the same connection opens both, and neither takes a file that others may read."""
import platform
import subprocess
import sys

import pip_differential
import pytest

from conftest import BIN


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    (site / "x-1.dist-info").mkdir()
    (site / "x-1.dist-info/METADATA").write_text("Name: x\nVersion: 1\n")
    return pip_differential.image(tmp_path_factory.mktemp("image"), site, sys.executable, platform.python_version())


def run(door, *args) -> subprocess.CompletedProcess:
    env = {key: value for key, value in door.env.items() if key not in ("SNOWFLAKE_USER", "SNOWFLAKE_PASSWORD")}
    return subprocess.run([str(a) for a in args], env={**env, "FIRN_CACHE_DIR": str(door.work / "firn-cache")}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def firn(door, image, *args):
    return run(door, BIN / "firn", "validate", *args, f"docker-archive:{image}")


def test_the_connection_of_snow_opens_the_server(door, image):
    assert run(door, door.snow, "connection", "test", "-c", "dan").returncode == 0
    done = firn(door, image, "--connection", "dan")
    assert done.returncode == 1 and f"judging by what http://{door.host} said now: policy" in done.stdout, done.stdout
    kept = firn(door, image, "-c", "dan", "--offline")
    assert kept.returncode == 1 and "a minute ago" in kept.stdout, kept.stdout


def test_an_unknown_connection_and_a_wrong_password(door, image):
    done = firn(door, image, "-c", "nobody")
    assert done.returncode == 2 and "admin, dan, paula" in done.stdout and not any(p in done.stdout for p in door.passwords.values()), done.stdout
    door.env["SNOWFLAKE_CONNECTIONS_DAN_PASSWORD"] = "wrong-and-secret"
    try:
        done = firn(door, image, "-c", "dan")
    finally:
        del door.env["SNOWFLAKE_CONNECTIONS_DAN_PASSWORD"]
    assert done.returncode == 4 and "wrong-and-secret" not in done.stdout, done.stdout


def test_a_file_that_others_may_read(door, image):
    file = door.work / "snow/connections.toml"
    file.chmod(0o644)
    try:
        assert run(door, door.snow, "connection", "test", "-c", "dan").returncode != 0
        done = firn(door, image, "-c", "dan")
        assert done.returncode == 2 and "chmod 0600" in done.stdout, done.stdout
    finally:
        file.chmod(0o600)
