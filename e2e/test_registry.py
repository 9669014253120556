# SPDX-License-Identifier: Apache-2.0
"""Rules of image repositories as docker and snow meet them, on a server that runs no containers."""
import json
import os
import subprocess

import pytest

from conftest import Server
from engine import docker, small_image
from line import Failed


@pytest.fixture
def repository(door):
    """Makes an image repository for one test, and gives its name in SQL and its place for docker."""
    door.docker_login("ADMIN")
    made = []

    def make(rules=""):
        name = f"ml.churn.rules_{os.urandom(4).hex()}"
        door.sql("ADMIN", f"CREATE IMAGE REPOSITORY {name} {rules}")
        made.append(name)
        return name, f"{door.host}/{name.replace('.', '/')}"

    yield make
    for name in made:
        door.sql("ADMIN", f"DROP IMAGE REPOSITORY {name}")


@pytest.fixture
def image(door):
    """Makes images of one layer more than the small one, and removes what docker was given in the test."""
    made = []

    def make(name, content="one"):
        container = docker("create", small_image(), "true").strip()
        try:
            made.append(docker("commit", "-c", f"LABEL content={content}", container, name).strip())
        finally:
            docker("rm", container)

    yield make
    for id in made:
        docker("rmi", "-f", id)


def events(door, name):
    where = name.split(".")[-1].upper()
    return [r["EVENT_KIND"] for r in door.rows("ADMIN", f"SELECT * FROM ml.INFORMATION_SCHEMA.IMAGE_EVENTS "
                                                        f"WHERE REPOSITORY_NAME = '{where}' ORDER BY EVENT_TIME")]


def test_a_push_beyond_the_quota_is_refused_with_numbers(door, repository, image):
    name, place = repository("STORAGE_QUOTA = '100 KB'")
    image(f"{place}/small:v1")
    with pytest.raises(Failed, match="(?s)storage quota of image repository .* exceeded: its 100000 bytes hold .* STORAGE_QUOTA"):
        door.run("docker", "push", f"{place}/small:v1")
    assert door.rows("ADMIN", f"SHOW IMAGES IN IMAGE REPOSITORY {name}") == []
    door.sql("ADMIN", f"ALTER IMAGE REPOSITORY {name} SET STORAGE_QUOTA = '100 MB'")
    door.run("docker", "push", f"{place}/small:v1")
    row = door.rows("ADMIN", f"SHOW IMAGE REPOSITORIES LIKE '{name.split('.')[-1]}' IN SCHEMA ml.churn")[0]
    assert row["storage_quota"] == 100_000_000 and 100_000 < row["storage_used"] < 10_000_000


def test_an_immutable_tag_stays(door, repository, image):
    name, place = repository("IMMUTABLE_TAGS = ('v*')")
    image(f"{place}/small:v1")
    image(f"{place}/small:latest")
    door.run("docker", "push", f"{place}/small:v1")
    door.run("docker", "push", f"{place}/small:latest")
    door.run("docker", "push", f"{place}/small:v1")  # the same again is no change
    before = {r["tags"]: r["digest"] for r in door.rows("ADMIN", f"SHOW IMAGES IN IMAGE REPOSITORY {name}")}
    for tag in ("v1", "latest"):
        image(f"{place}/small:{tag}", "two")
    with pytest.raises(Failed, match="(?s)tag v1 of image small is immutable in image repository .* push another tag"):
        door.run("docker", "push", f"{place}/small:v1")
    door.run("docker", "push", f"{place}/small:latest")
    after = {r["tags"]: r["digest"] for r in door.rows("ADMIN", f"SHOW IMAGES IN IMAGE REPOSITORY {name}")}
    assert before["v1"] == after["v1"] and before["latest"] != after["latest"]
    assert events(door, name) == ["PUSH", "PUSH", "TAG_MOVED"]


def test_snow_lists_images_with_their_facts(door, repository, image):
    name, place = repository()
    image(f"{place}/small:v1")
    door.run("docker", "push", f"{place}/small:v1")
    docker("rmi", f"{place}/small:v1")
    door.run("docker", "pull", f"{place}/small:v1")
    out = door.run(door.snow, "spcs", "image-repository", "list-images", name.split(".")[-1], "--database", "ML", "--schema", "CHURN",
                   "-c", "admin", "--format", "json")
    (row,) = json.loads(out[out.index("["):])
    assert list(row)[:5] == ["created_on", "image_name", "tags", "digest", "image_path"]
    assert row["image_path"] == f"{name.replace('.', '/')}/small:v1" and row["pushed_by"] == "ADMIN" and row["size"] > 100_000
    assert row["last_pulled_on"] is not None
    listed = door.rows("ADMIN", f"SELECT SYSTEM$REGISTRY_LIST_IMAGES('/{name.replace('.', '/')}') AS images")[0]["IMAGES"]
    assert json.loads(listed) == {"images": ["small"]}
    assert events(door, name) == ["PUSH", "PULL"]


def test_without_a_login_docker_pulls_what_is_public_only(door, repository, image, tmp_path):
    name, place = repository()
    image(f"{place}/small:v1")
    door.run("docker", "push", f"{place}/small:v1")
    docker("rmi", f"{place}/small:v1")

    def anonymous(*args):
        done = subprocess.run(["docker", "--config", str(tmp_path), *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    code, out = anonymous("pull", f"{place}/small:v1")
    assert code != 0 and "authentication required" in out, out
    door.sql("ADMIN", f"GRANT USAGE ON DATABASE ml TO ROLE PUBLIC; GRANT USAGE ON SCHEMA ml.churn TO ROLE PUBLIC; "
                      f"GRANT READ ON IMAGE REPOSITORY {name} TO ROLE PUBLIC")
    try:
        code, out = anonymous("pull", f"{place}/small:v1")
        assert code == 0, out
        code, out = anonymous("push", f"{place}/small:v1")
        assert code != 0 and "authentication required" in out, out
    finally:
        door.sql("ADMIN", "REVOKE USAGE ON DATABASE ml FROM ROLE PUBLIC; REVOKE USAGE ON SCHEMA ml.churn FROM ROLE PUBLIC")


def test_snow_lists_tags_over_tls(door, tmp_path):
    """`list-tags` speaks https only, and pages by ten."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=firn",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    server = Server(tmp_path / "tls", "--compute", "none", "--tls-cert", str(certificate), "--tls-key", str(key))
    server.start()
    try:
        host, port = server.host.split(":")
        home = tmp_path / "snow"
        home.mkdir()
        (home / "connections.toml").write_text(f"""[tls]
account = "firn"
host = "{host}"
port = {port}
protocol = "https"
user = "ADMIN"
password = "{server.password()}"
disable_ocsp_checks = true
""")
        (home / "connections.toml").chmod(0o600)
        env = {**door.env, "SNOWFLAKE_HOME": str(home), "REQUESTS_CA_BUNDLE": str(certificate), "SSL_CERT_FILE": str(certificate),
               "DOCKER_CONFIG": str(tmp_path / "docker")}

        def run(*args, **options):
            done = subprocess.run([str(a) for a in args], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
            assert done.returncode == 0, done.stdout
            return done.stdout

        run(door.snow, "sql", "-c", "tls", "-q", "create database d; create image repository d.public.r")
        run("docker", "login", server.host, "-u", "ADMIN", "--password-stdin", input=server.password())
        wanted = [f"t{i:02}" for i in range(21)]
        for tag in wanted:
            docker("tag", small_image() if tag == wanted[0] else f"{server.host}/d/public/r/small:{wanted[0]}", f"{server.host}/d/public/r/small:{tag}")
        try:
            run("docker", "push", "-a", "-q", f"{server.host}/d/public/r/small")
        finally:
            docker("rmi", *[f"{server.host}/d/public/r/small:{tag}" for tag in wanted])
        out = run(door.snow, "spcs", "image-repository", "list-tags", "r", "-i", "/d/public/r/small", "--database", "D", "--schema", "PUBLIC",
                  "-c", "tls", "--format", "json")
        assert [r["tag"] for r in json.loads(out[out.index("["):])] == [f"/d/public/r/small:{tag}" for tag in wanted]
        assert f"{server.host}/d/public/r" in run(door.snow, "spcs", "image-repository", "url", "r", "--database", "D", "--schema", "PUBLIC", "-c", "tls")
    finally:
        assert server.stop() == 0, server.log()[-3000:]
