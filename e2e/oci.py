# SPDX-License-Identifier: Apache-2.0
"""A registry as its clients see it, an image for them, and the clients that need a daemon or a store of their own."""
import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile

import requests

from engine import as_root
from need import tool

REPOSITORY = "ml/churn/images"


def run(*command, cwd=None, env=None, text=None, fails=False) -> str:
    """Runs a client and gives what it wrote."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode != 0) == fails, f"{command}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def layer(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layout(directory: pathlib.Path) -> str:
    """Writes an OCI layout with one image of three layers, one of them too large for a row, and gives the manifest's digest."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict:
        (blobs / digest(data).split(":")[1]).write_bytes(data)
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    layers = [layer("one", b"1" * 100), layer("two", os.urandom(10_000)), layer("three", os.urandom(3_000_000))]
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
              "rootfs": {"type": "layers", "diff_ids": [digest(x) for x in layers]}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
                "layers": [put(gzip.compress(x, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for x in layers]}
    entry = {**put(json.dumps(manifest).encode(), manifest["mediaType"]), "annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return entry["digest"]


class Registry:
    """The server as a client of registries sees it, with a login for every one of them in one file."""

    def __init__(self, host: str, user: str, password: str, directory: pathlib.Path):
        self.host, self.user, self.password = host, user, password
        self.image, self.manifest = directory / "layout", None
        self.manifest = layout(self.image)
        self.config = directory / "config"
        self.config.mkdir()
        self.env = {**os.environ, "HOME": str(directory), "DOCKER_CONFIG": str(self.config), "REGISTRY_AUTH_FILE": str(self.config / "config.json"),
                    "XDG_RUNTIME_DIR": str(directory / "run"), "COSIGN_PASSWORD": "", "REGCTL_CONFIG": str(directory / "regctl.json")}
        self.work = directory

    def name(self, image: str) -> str:
        return f"{self.host}/{REPOSITORY}/{image}"

    def head(self, image: str, reference: str) -> str | None:
        """The digest that the server itself tells."""
        answer = requests.head(f"http://{self.host}/v2/{REPOSITORY}/{image}/manifests/{reference}", timeout=10, auth=(self.user, self.password),
                               headers={"Accept": "*/*"})
        return answer.headers["Docker-Content-Digest"] if answer.ok else None

    def log_in(self):
        """Writes the file that a login of docker writes."""
        auth = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        (self.config / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": auth}}}))


@contextlib.contextmanager
def containerd(registry: Registry):
    """A containerd of one's own, as a function that runs ctr: the client of containerd, which docker with the containerd image store also uses."""
    socket = registry.work / "c.sock"
    (registry.work / "c.toml").write_text(f"""version = 2
root = "{registry.work}/croot"
state = "{registry.work}/cstate"
[grpc]
address = "{socket}"
[ttrpc]
address = "{socket}.ttrpc"
""")
    daemon = subprocess.Popen(as_root(tool("containerd"), "-c", registry.work / "c.toml"), stdout=subprocess.DEVNULL,
                              stderr=open(registry.work / "c.log", "w"))
    try:
        yield lambda *args: run(*as_root(tool("ctr"), "-a", socket, "--connect-timeout", "20s", *args), env=registry.env)
    finally:
        subprocess.run(as_root("kill", str(daemon.pid)), check=False)
        daemon.wait(timeout=30)
        subprocess.run(as_root("rm", "-rf", registry.work / "croot", registry.work / "cstate"), check=True)


@contextlib.contextmanager
def storage():
    """Flags that give podman and buildah a store of their own. Its files belong to root, and podman wants its path to be short."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="firn-"))
    try:
        yield ["--root", place / "storage", "--runroot", place / "runroot", "--storage-driver", "vfs"]
    finally:
        subprocess.run(as_root("rm", "-rf", place), check=True)
