# SPDX-License-Identifier: Apache-2.0
"""Images of another registry through a repository that has it as its upstream: docker, an approved base, runtime environments."""
import json
import os
import subprocess
import urllib.request

import pytest

from conftest import BIN, Server, remove_images
from engine import docker, push, small_image
from line import BASE, ROOT, Failed, Line
from need import tool
from oci import run

TAG = (ROOT / "images/base/VERSION").read_text().strip()


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """The registry that was there before, with a base image and a small one, in a server that runs nothing."""
    work = tmp_path_factory.mktemp("company")
    s = Server(work, "--compute", "none")
    s.start()
    subprocess.run([BIN / "firnd", "base", "build", "cpu", "--data-dir", s.data, "--listen", s.host], check=True, stdout=subprocess.DEVNULL)
    for text in ("CREATE USER robot PASSWORD = 'robot-4711-secret'", "CREATE DATABASE t", "CREATE IMAGE REPOSITORY t.public.images", "CREATE ROLE robots",
                 "GRANT ROLE robots TO USER robot", "GRANT USAGE ON DATABASE t TO ROLE robots", "GRANT USAGE ON SCHEMA t.public TO ROLE robots",
                 "GRANT READ ON IMAGE REPOSITORY t.public.images TO ROLE robots"):
        s.rows(text)
    container = docker("create", small_image(), "true").strip()
    image = docker("commit", "-c", f"LABEL content={os.urandom(8).hex()}", container).strip()  # docker has never pulled this one
    docker("rm", container)
    push(s, image, "t/public/images/small:v1", work)
    yield s
    if s.process.poll() is None:
        s.stop()
    remove_images(s.host + "/")


@pytest.fixture(scope="module")
def mirror(company, tmp_path_factory):
    """A walk on a server that may fetch from there: /ml/churn/team is what the company's teams have, /ml/churn/bases are its bases."""
    s = Server(tmp_path_factory.mktemp("mirror"), "--upstreams", company.host)
    s.start()
    walk = Line(s.host, s.password(), tmp_path_factory.mktemp("mirror-clients"), TAG)
    walk.set_up()
    walk.server = s
    walk.sql("ADMIN", f"""
        CREATE SECRET ml.churn.robot TYPE = PASSWORD USERNAME = 'robot' PASSWORD = 'robot-4711-secret';
        CREATE IMAGE REPOSITORY ml.churn.team UPSTREAM = 'http://{company.host}/t/public/images' UPSTREAM_SECRET = ml.churn.robot;
        CREATE IMAGE REPOSITORY ml.churn.bases UPSTREAM = 'http://{company.host}/snowflake/images/snowflake_images';
        GRANT READ, WRITE ON IMAGE REPOSITORY ml.churn.team TO ROLE platform_engineer;
        GRANT READ ON IMAGE REPOSITORY ml.churn.bases TO ROLE platform_engineer""")
    yield walk
    code = s.stop()
    remove_images(s.host + "/")
    assert code == 0 and "panic" not in s.log() and "robot-4711" not in s.log(), s.log()[-3000:]


def images(rows):
    return [(r["image_name"], r["tags"], r["digest"]) for r in rows]


def test_docker_pulls_what_another_registry_has(mirror, company):
    place = f"{mirror.host}/ml/churn/team/small"
    mirror.docker_login("paula")
    mirror.run("docker", "pull", f"{place}:v1")
    assert mirror.run("docker", "run", "--rm", "--network", "none", f"{place}:v1", "echo", "it runs").strip() == "it runs"
    here = mirror.rows("ADMIN", "SHOW IMAGES IN IMAGE REPOSITORY ml.churn.team")
    assert images(here) == images(company.rows("SHOW IMAGES IN IMAGE REPOSITORY t.public.images"))
    assert here[0]["pushed_by"] == f"upstream {company.host}"
    row = mirror.rows("ADMIN", "SHOW IMAGE REPOSITORIES LIKE 'team' IN SCHEMA ml.churn")[0]
    assert row["upstream"] == f"http://{company.host}/t/public/images" and row["upstream_secret"] == "ML.CHURN.ROBOT"
    assert "robot-4711" not in str(row)
    events = [(r["EVENT_KIND"], r["USER_NAME"]) for r in mirror.rows("ADMIN", "SELECT * FROM ml.INFORMATION_SCHEMA.IMAGE_EVENTS ORDER BY EVENT_TIME")]
    assert events == [("PUSH", f"upstream {company.host}"), ("PULL", "PAULA")]
    with pytest.raises(Failed, match="(?s)takes no pushes.*UNSET UPSTREAM"):
        mirror.run("docker", "push", f"{place}:v1")
    metrics = urllib.request.urlopen(f"http://{mirror.host}/metrics").read().decode()
    assert f'firn_registry_upstream_fetches_total{{outcome="success",upstream="{company.host}",what="blob"}}' in metrics


def test_what_is_attached_there_is_listed_and_pulled_here(mirror, company, tmp_path):
    env = os.environ | {"HOME": str(tmp_path)}

    def oras(command, *args):
        return run(tool("oras"), command, "--plain-http", *args, env=env, cwd=tmp_path)

    (tmp_path / "sbom.json").write_text('{"components": []}')
    for host, password in ((company.host, company.password()), (mirror.host, mirror.server.password())):
        run(tool("oras"), "login", host, "--plain-http", "-u", "ADMIN", "--password-stdin", env=env, text=password)
    oras("attach", f"{company.host}/t/public/images/small:v1", "--artifact-type", "application/x.sbom", "sbom.json:application/json")
    listed = json.loads(oras("discover", f"{mirror.host}/ml/churn/team/small:v1", "--format", "json"))["referrers"]
    assert [r["artifactType"] for r in listed] == ["application/x.sbom"]
    oras("pull", f"{mirror.host}/ml/churn/team/small@{listed[0]['digest']}", "-o", "back")
    assert (tmp_path / "back/sbom.json").read_text() == '{"components": []}'
    again = json.loads(oras("discover", f"{mirror.host}/ml/churn/team/small:v1", "--format", "json"))["referrers"]
    assert [r["digest"] for r in again] == [listed[0]["digest"]]


def test_who_may_not_is_told_what_is_missing(mirror, company):
    with pytest.raises(Exception, match="(?s)upstream registry registry.example.com is not approved.*--upstreams"):
        mirror.sql("ADMIN", "CREATE IMAGE REPOSITORY ml.churn.other UPSTREAM = 'https://registry.example.com/team'")
    with pytest.raises(Failed, match=f"(?s)upstream registry {company.host} has no v9 of image"):
        mirror.run("docker", "pull", f"{mirror.host}/ml/churn/team/small:v9")
    mirror.docker_login("dan")  # has no READ: is told nothing
    with pytest.raises(Failed, match="(?s)does not exist or not authorized"):
        mirror.run("docker", "pull", f"{mirror.host}/ml/churn/team/small:v9")


def test_an_environment_on_a_base_from_another_registry(mirror, company):
    """The base comes through the upstream and is approved by a copy; what is built on it derives from it."""
    host, image = mirror.host, "container_runtime/cpu_x86_64"
    mirror.docker_login("paula")
    mirror.run("docker", "build", "-q", "--build-arg", f"BASE={host}/ml/churn/bases/{image}:{TAG}", "-t", "firn-e2e/through:v1", ROOT / "examples/churn")
    mirror.push("firn-e2e/through:v1", "through:v1")
    create = "CREATE CUSTOM RUNTIME ENVIRONMENT through_env IMAGE_PATH = '/ml/churn/images/through:v1' BASE_IMAGE_TYPE = CPU"
    with pytest.raises(Exception, match="no base image is approved yet"):
        mirror.sql("paula", create)
    mirror.docker_login("ADMIN")
    mirror.run(tool("crane"), "copy", "--insecure", f"{host}/ml/churn/bases/{image}:{TAG}", f"{host}{BASE}:{TAG}")
    digests = {r["digest"] for place in ("ml.churn.bases", "snowflake.images.snowflake_images")
               for r in mirror.rows("ADMIN", f"SHOW IMAGES IN IMAGE REPOSITORY {place}")}
    assert len(digests) == 1
    mirror.sql("paula", create)
    row = mirror.rows("paula", "DESCRIBE CUSTOM RUNTIME ENVIRONMENT through_env")[0]
    assert row["cre_status"] == "RESOLVED" and row["image_status"] == "CURRENT"


def test_an_environment_of_an_image_from_another_registry(mirror, company, tmp_path):
    """Nobody has pulled it: CREATE fetches it, and the upstream may go away afterwards."""
    push(company, "firn-e2e/through:v1", "t/public/images/through:v1", tmp_path)
    mirror.sql("paula", "CREATE CUSTOM RUNTIME ENVIRONMENT fetched_env IMAGE_PATH = '/ml/churn/team/through:v1' BASE_IMAGE_TYPE = CPU")
    with pytest.raises(Exception, match=f"image path /ml/churn/team/through:v2: upstream registry {company.host} has no v2"):
        mirror.sql("paula", "CREATE CUSTOM RUNTIME ENVIRONMENT none_env IMAGE_PATH = '/ml/churn/team/through:v2' BASE_IMAGE_TYPE = CPU")
    company.stop()
    mirror.sql("paula", "CREATE OR REPLACE CUSTOM RUNTIME ENVIRONMENT fetched_env IMAGE_PATH = '/ml/churn/team/through:v1' BASE_IMAGE_TYPE = CPU")
    row = mirror.rows("paula", "DESCRIBE CUSTOM RUNTIME ENVIRONMENT fetched_env")[0]
    assert row["cre_status"] == "RESOLVED" and row["image_status"] == "CURRENT"
