# SPDX-License-Identifier: Apache-2.0
"""One server for all tests, on a free port and a data directory of its own, with the base image published."""
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
import snowflake.connector

pytest.register_assert_rewrite("connector")

from line import ROOT, Line  # noqa: E402

BIN = pathlib.Path(os.environ.get("FIRN_TEST_BIN", ROOT / "bin"))

# Two major versions of the connector cannot be in one environment, so each environment has its tests.
if snowflake.connector.__version__.startswith("5."):
    collect_ignore_glob = ["test_[!c]*.py", "test_connector4.py"]
else:
    collect_ignore_glob = ["test_connector5.py"]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """firnd as a process that can be killed and started again on the same data."""

    def __init__(self, directory: pathlib.Path, *flags: str, env: dict | None = None):
        self.directory, self.host, self.process, self.flags = directory, f"127.0.0.1:{free_port()}", None, flags
        self.env = dict(os.environ, **(env or {}))
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> pathlib.Path:
        return self.directory / "data"

    def start(self):
        out = open(self.directory / "out", "w", encoding="utf-8")
        log = open(self.directory / "firnd.log", "a", encoding="utf-8")
        self.process = subprocess.Popen([BIN / "firnd", "serve", "--data-dir", self.data, "--listen", self.host, *self.flags],
                                        stdout=out, stderr=log, env=self.env)
        deadline = time.monotonic() + 60
        while "ready " not in (self.directory / "out").read_text():
            assert self.process.poll() is None and time.monotonic() < deadline, (self.directory / "firnd.log").read_text()[-3000:]
            time.sleep(0.05)

    def kill(self):
        """Ends the process as a power switch would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=60)

    def password(self) -> str:
        return (self.data / "admin-password").read_text().strip()

    def log(self) -> str:
        return (self.directory / "firnd.log").read_text()

    def connect(self, **settings):
        """Opens a session of ADMIN."""
        host, port = self.host.split(":")
        return snowflake.connector.connect(**{"account": "firn", "host": host, "port": int(port), "protocol": "http", "user": "ADMIN",
                                              "password": self.password(), **settings})

    def rows(self, text: str) -> list:
        """Runs one statement as ADMIN and gives its rows as dictionaries."""
        with self.connect() as connection:
            return connection.cursor(snowflake.connector.DictCursor).execute(text).fetchall()


def remove_images(prefix: str) -> None:
    shown = subprocess.run(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], text=True, stdout=subprocess.PIPE, check=True)
    for name in shown.stdout.split():
        if name.startswith(prefix):
            subprocess.run(["docker", "image", "rm", "-f", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session", autouse=True)
def no_images_left():
    """Removes the images that tests have made, whatever became of them."""
    yield
    remove_images("firn-e2e/")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("firnd"))
    s.start()
    subprocess.run([BIN / "firnd", "base", "build", "cpu", "--data-dir", s.data, "--listen", s.host], check=True,
                   stdout=subprocess.DEVNULL)
    yield s
    code = s.stop()
    log = (s.directory / "firnd.log").read_text()
    if os.environ.get("FIRN_TEST_LOG"):
        pathlib.Path(os.environ["FIRN_TEST_LOG"]).write_text(log)
    remove_images(s.host + "/")
    assert code == 0, log[-3000:]
    assert "panic" not in log
    for secret in (s.password(),):
        assert secret not in log


@pytest.fixture(scope="session")
def door(tmp_path_factory):
    """A walk on a server without containers, for tests that need none."""
    s = Server(tmp_path_factory.mktemp("door"), "--compute", "none")
    s.start()
    walk = Line(s.host, s.password(), tmp_path_factory.mktemp("door-clients"), "none")
    walk.set_up()
    walk.server = s
    yield walk
    code = s.stop()
    log = (s.directory / "firnd.log").read_text()
    assert code == 0, log[-3000:]
    assert "panic" not in log
    for secret in walk.passwords.values():
        assert secret not in log


@pytest.fixture(scope="session")
def line(server, tmp_path_factory):
    walk = Line(server.host, server.password(), tmp_path_factory.mktemp("clients"), (ROOT / "images/base/VERSION").read_text().strip())
    walk.set_up()
    return walk


@pytest.fixture(scope="session")
def pushed(line):
    """The user's image, built on the pulled base and pushed."""
    line.docker_login("paula")
    line.pull_base()
    line.build("churn", "firn-e2e/churn:v1")
    line.push("firn-e2e/churn:v1", "churn:v1")
    return line


@pytest.fixture(scope="session")
def environment(pushed):
    """The registered environment, which data scientists may use."""
    pushed.create_environment()
    pushed.sql("paula", "GRANT USAGE ON CUSTOM RUNTIME ENVIRONMENT churn_env TO ROLE data_scientist")
    return pushed


@pytest.fixture(scope="session")
def job_session(environment):
    session = environment.job_session()
    yield session
    session.close()
