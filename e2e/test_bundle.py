# SPDX-License-Identifier: Apache-2.0
"""Images carried in a file: exported from a server, read by skopeo and by firn, imported elsewhere with tags and attachments."""
import base64
import json
import os
import subprocess
import tarfile

import pytest
import requests

from conftest import BIN
from oci import layout

SBOM, REPORT = "application/vnd.cyclonedx+json", "application/vnd.firn.validate+json"


class Carrier:
    """firn and skopeo with the login of paula."""

    def __init__(self, door, directory):
        self.host, self.login, self.work = door.host, ("paula", door.passwords["paula"]), directory
        auth = base64.b64encode(":".join(self.login).encode()).decode()
        (directory / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": auth}}}))
        self.env = {**os.environ, "DOCKER_CONFIG": str(directory), "REGISTRY_AUTH_FILE": str(directory / "config.json"),
                    "FIRN_CACHE_DIR": str(directory / "cache")}
        door.sql("ADMIN", "CREATE IMAGE REPOSITORY IF NOT EXISTS ml.churn.carried; CREATE IMAGE REPOSITORY IF NOT EXISTS ml.churn.arrived;"
                 "GRANT READ, WRITE ON IMAGE REPOSITORY ml.churn.carried TO ROLE platform_engineer;"
                 "GRANT READ, WRITE ON IMAGE REPOSITORY ml.churn.arrived TO ROLE platform_engineer")

    def run(self, *command, code=0, env=None) -> str:
        done = subprocess.run([str(c) for c in command], env=env or self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def firn(self, *args, **more) -> str:
        return self.run(BIN / "firn", "image", *args, **more)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://{self.host}/v2/ml/churn/{path}", auth=self.login, timeout=10)


@pytest.fixture
def carrier(door, tmp_path):
    return Carrier(door, tmp_path)


def test_a_repository_is_carried(carrier):
    image, there = carrier.work / "layout", f"{carrier.host}/ml/churn/carried"
    image.mkdir()
    digest = layout(image)
    for name in ("churn:v1", "churn:v2", "forecast:v1"):
        carrier.run("skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", f"oci:{image}:v1", f"docker://{there}/{name}")
    file = carrier.work / "images.tar"
    said = carrier.firn("export", there, file)
    assert f"churn:v1  {digest}  validation: fail" in said and "tags: 3, attachments: 2," in said, said
    carrier.firn("export", there, carrier.work / "again.tar")  # now with every layer in the cache
    assert (carrier.work / "again.tar").read_bytes() == file.read_bytes()
    with tarfile.open(file) as tar:
        index = json.load(tar.extractfile("index.json"))
    assert [d["annotations"]["org.opencontainers.image.ref.name"] for d in index["manifests"] if "annotations" in d] == ["churn:v1", "churn:v2", "forecast:v1"]
    assert sorted(d["artifactType"] for d in index["manifests"] if "artifactType" in d) == [SBOM, REPORT]

    seen = json.loads(carrier.run("skopeo", "inspect", f"oci-archive:{file}:churn:v1"))
    assert seen["Digest"] == digest and len(seen["Layers"]) == 3
    carrier.run("skopeo", "copy", f"oci-archive:{file}:forecast:v1", f"dir:{carrier.work}/dir")
    report = json.loads(carrier.run(BIN / "firn", "validate", "--format", "json", f"oci-archive:{file}:churn:v2", code=1))
    assert report["image"]["digest"] == digest

    to = f"{carrier.host}/ml/churn/arrived"
    assert "dry run" in carrier.firn("import", file, to, "--dry-run")
    assert carrier.get("arrived/churn/tags/list").status_code == 404
    said = carrier.firn("import", file, to)
    assert f"churn:v1  {digest}  new" in said and "sent: 3 (" in said, said  # what is new to the server: SBOM, report and their empty config
    assert carrier.get("arrived/churn/tags/list").json()["tags"] == ["v1", "v2"]
    attached = {d["artifactType"]: d for d in carrier.get(f"arrived/churn/referrers/{digest}").json()["manifests"]}
    assert set(attached) == {SBOM, REPORT}
    manifest = carrier.get(f"arrived/churn/manifests/{attached[REPORT]['digest']}").json()
    verdict = carrier.get(f"arrived/churn/blobs/{manifest['layers'][0]['digest']}").json()
    assert verdict["schema"] == "firn.validate/1" and verdict["result"] == "fail" and verdict["image"]["digest"] == digest
    assert "new manifests: 0, new blobs: 0, sent: 0 (" in carrier.firn("import", file, to)


def test_an_archive_of_skopeo_is_imported(carrier):
    image, file = carrier.work / "layout", carrier.work / "skopeo.tar"
    image.mkdir()
    digest = layout(image)
    carrier.run("skopeo", "copy", "--preserve-digests", f"oci:{image}:v1", f"oci-archive:{file}")
    to = f"{carrier.host}/ml/churn/arrived"
    assert "has no name" in carrier.firn("import", file, to, code=2)
    said = carrier.firn("import", file, to + "/bought:v7")
    assert f"bought:v7  {digest}  new" in said and "new blobs: 4," in said and "sent: 0 (" not in said, said
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert "another content" in carrier.firn("import", file, to + "/bought:v8", code=3)
    assert carrier.get("arrived/bought/tags/list").json()["tags"] == ["v7"]
    nobody = {**carrier.env, "DOCKER_CONFIG": str(carrier.work / "none")}
    assert "docker login" in carrier.firn("export", to, carrier.work / "x.tar", code=3, env=nobody)
