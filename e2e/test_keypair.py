# SPDX-License-Identifier: Apache-2.0
"""A user who has keys and no password, as in CI: snow and docker log in to the registry by them, and are out when the keys are."""
import contextlib
import json
import os

import pytest
import snowflake.connector

from connector import key_pair
from engine import docker, small_image
from line import Failed

ENDED = "unauthorized: .*log in"


class Robot:
    """A user without a password on a server, with one home for snow and docker per key."""

    def __init__(self, door, work):
        self.door, self.work, self.host = door, work, door.host
        name = os.urandom(4).hex()
        self.user, self.role, self.repository = f"robot_{name}", f"robots_{name}", f"ml.churn.robots_{name}"
        self.place = f"{door.host}/{self.repository.replace('.', '/')}"
        door.sql("ADMIN", f"""CREATE ROLE {self.role}; CREATE USER {self.user} DEFAULT_ROLE = {self.role}; GRANT ROLE {self.role} TO USER {self.user};
            CREATE IMAGE REPOSITORY {self.repository};
            GRANT USAGE ON DATABASE ml TO ROLE {self.role}; GRANT USAGE ON SCHEMA ml.churn TO ROLE {self.role};
            GRANT READ, WRITE ON IMAGE REPOSITORY {self.repository} TO ROLE {self.role}""")
        self.pushed = set()

    def alter(self, text: str):
        self.door.sql("ADMIN", f"ALTER USER {self.user} {text}")

    def key(self, number: str = "") -> "Key":
        """Makes a key and sets it as RSA_PUBLIC_KEY or RSA_PUBLIC_KEY_2."""
        private, public = key_pair()
        self.alter(f"SET RSA_PUBLIC_KEY{number} = '{public}'")
        return Key(self, private)

    def remove(self):
        with contextlib.suppress(AssertionError):  # a tag that no push has made
            docker("rmi", "-f", *self.pushed)
        self.door.sql("ADMIN", f"DROP USER {self.user}; DROP ROLE {self.role}; DROP IMAGE REPOSITORY {self.repository}")


class Key:
    """The clients of somebody who holds one private key."""

    def __init__(self, robot: Robot, private: bytes):
        from cryptography.hazmat.primitives import serialization

        self.robot, self.private = robot, private
        home = robot.work / os.urandom(4).hex()
        home.mkdir()
        key = serialization.load_der_private_key(private, None)
        (home / "key.p8").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                        serialization.NoEncryption()))
        host, port = robot.host.split(":")
        (home / "connections.toml").write_text(f"""[robot]
account = "firn"
host = "{host}"
port = {port}
protocol = "http"
user = "{robot.user}"
authenticator = "SNOWFLAKE_JWT"
private_key_file = "{home}/key.p8"
""")
        for file in ("connections.toml", "key.p8"):
            (home / file).chmod(0o600)
        self.env = {**robot.door.env, "SNOWFLAKE_HOME": str(home), "DOCKER_CONFIG": str(home / "docker")}

    def run(self, *args, input=None) -> str:
        return self.robot.door.run(*args, input=input, env=self.env)

    def snow(self, *args) -> str:
        return self.run(self.robot.door.snow, *args, "-c", "robot")

    def connect(self):
        host, port = self.robot.host.split(":")
        return snowflake.connector.connect(account="firn", host=host, port=int(port), protocol="http", user=self.robot.user,
                                           authenticator="SNOWFLAKE_JWT", private_key=self.private)

    def docker_login(self, token: dict) -> str:
        return self.run("docker", "login", self.robot.host, "-u", "0sessiontoken", "--password-stdin", input=json.dumps(token))

    def push(self) -> str:
        """Pushes content that the registry does not have, and gives its name."""
        tag = "t" + os.urandom(4).hex()
        name = f"{self.robot.place}/small:{tag}"
        container = docker("create", small_image(), "true").strip()
        docker("commit", "-c", f"LABEL content={tag}", container, name)
        docker("rm", container)
        self.robot.pushed.add(name)
        self.run("docker", "push", "-q", name)
        return name

    def pull(self, name: str):
        docker("rmi", name)
        self.run("docker", "pull", "-q", name)


@pytest.fixture
def robot(door, tmp_path):
    r = Robot(door, tmp_path)
    yield r
    r.remove()


def refused(key: Key, why: str):
    """The next push of a key is refused."""
    with pytest.raises(Failed, match=why):
        key.push()


def test_snow_logs_docker_in_by_a_key_pair(robot):
    key = robot.key()
    assert "OK" in key.snow("connection", "test")
    assert "Login Succeeded" in key.snow("spcs", "image-registry", "login")
    key.pull(key.push())


def test_docker_logs_in_with_a_token_of_snow(robot):
    key = robot.key()
    assert robot.host in key.snow("spcs", "image-registry", "url")
    token = json.loads(key.snow("spcs", "image-registry", "token", "--format", "json"))
    assert 0 < token["expires_in"] <= 3600
    assert "Login Succeeded" in key.docker_login(token)
    key.pull(key.push())
    assert token["token"] not in robot.door.server.log()


def test_a_user_without_a_password_has_none(robot):
    key = robot.key()
    with pytest.raises(Failed, match="Incorrect username or password"):
        key.run("docker", "login", robot.host, "-u", robot.user, "--password-stdin", input="x")


def test_keys_are_rotated_while_pushes_go_on(robot):
    old = robot.key()
    old.snow("spcs", "image-registry", "login")
    old.push()
    new = robot.key("_2")
    new.snow("spcs", "image-registry", "login")
    old.push()
    name = new.push()
    robot.alter("UNSET RSA_PUBLIC_KEY")
    refused(old, ENDED)
    with pytest.raises(Failed, match="JWT token is invalid"):
        old.snow("spcs", "image-registry", "token")
    new.pull(name)
    new.push()
    with new.connect() as connection:
        assert connection.cursor().execute("SELECT CURRENT_USER()").fetchone() == (robot.user.upper(),)


@pytest.mark.parametrize("text, why", [
    ("ALTER USER {user} UNSET RSA_PUBLIC_KEY", ENDED),
    ("ALTER USER {user} SET RSA_PUBLIC_KEY = '{other}'", ENDED),
    ("ALTER USER {user} SET DISABLED = TRUE", ENDED),
    ("REVOKE ROLE {role} FROM USER {user}", "does not exist or not authorized"),
    ("REVOKE WRITE ON IMAGE REPOSITORY {repository} FROM ROLE {role}", "denied: .*WRITE"),
])
def test_pushes_end_with(robot, text, why):
    key = robot.key()
    key.snow("spcs", "image-registry", "login")
    key.push()
    robot.door.sql("ADMIN", text.format(user=robot.user, role=robot.role, repository=robot.repository, other=key_pair()[1]))
    refused(key, why)


def test_pushes_end_with_the_session(robot):
    """A program hands its session's token to docker, as snow does, and logs out."""
    key = robot.key()
    with key.connect() as connection:
        issued = connection._rest._token_request("ISSUE")["data"]
        key.docker_login({"token": issued["sessionToken"], "expires_in": issued["validityInSecondsST"]})
        key.push()
    refused(key, ENDED)
