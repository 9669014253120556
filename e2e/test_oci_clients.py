# SPDX-License-Identifier: Apache-2.0
"""Every common client of container registries, as it is: login, push, pull, copy, list, attach, sign, delete."""
import json
import pathlib
import subprocess
import tarfile

import pytest

from engine import as_root, wait_until
from need import tool
from oci import Registry, containerd, digest, layer, run, storage


@pytest.fixture
def registry(door, tmp_path):
    return Registry(door.host, "paula", door.passwords["paula"], tmp_path)


def test_crane(registry):
    def crane(*args, **more):
        return run(tool("crane"), *args, "--insecure", env=registry.env, **more)

    name = registry.name("crane")
    assert "UNAUTHORIZED" in crane("manifest", name + ":v1", fails=True)
    crane("auth", "login", registry.host, "-u", registry.user, "-p", registry.password)
    crane("push", registry.image, name + ":v1")
    assert crane("digest", name + ":v1").strip() == registry.manifest == registry.head("crane", "v1")
    crane("validate", "--remote", name + ":v1")
    crane("pull", name + ":v1", registry.work / "back", "--format=oci")
    assert registry.manifest in (registry.work / "back" / "index.json").read_text()
    crane("copy", name + ":v1", registry.name("crane2") + ":v2")
    crane("tag", name + ":v1", "v3")
    assert crane("ls", name).split() == ["v1", "v3"]
    crane("append", "--base", name + ":v1", "--new_layer", _file(registry.work / "more.tar", layer("four", b"4")), "--new_tag", name + ":v4")
    assert len(json.loads(crane("manifest", name + ":v4"))["layers"]) == 4
    crane("delete", name + "@" + registry.head("crane", "v4"))
    assert crane("ls", name).split() == ["v1", "v3"]
    wrong = crane("push", registry.image, f"{registry.host}/ml/churn/no_such/x:v1", fails=True)
    assert "NAME_UNKNOWN" in wrong or "DENIED" in wrong, wrong


def _file(path: pathlib.Path, data: bytes) -> pathlib.Path:
    path.write_bytes(data)
    return path


def test_skopeo(registry):
    def skopeo(*args, **more):
        return run(tool("skopeo"), *args, env=registry.env, **more)

    name = "docker://" + registry.name("skopeo")
    skopeo("login", registry.host, "--tls-verify=false", "-u", registry.user, "--password-stdin", text=registry.password)
    source = f"oci:{registry.image}:v1"
    skopeo("copy", "--preserve-digests", "--dest-tls-verify=false", source, name + ":v1")
    seen = json.loads(skopeo("inspect", "--tls-verify=false", name + ":v1"))
    assert seen["Digest"] == registry.manifest and len(seen["Layers"]) == 3 and seen["RepoTags"] == ["v1"]
    skopeo("copy", "--dest-tls-verify=false", "--format", "v2s2", "--dest-compress", source, name + ":docker")
    skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", name + ":v1", "docker://" + registry.name("skopeo2") + ":v1")
    assert registry.head("skopeo2", "v1") == registry.manifest
    assert json.loads(skopeo("list-tags", "--tls-verify=false", name))["Tags"] == ["docker", "v1"]
    for tag in ("v1", "docker"):
        skopeo("copy", "--src-tls-verify=false", f"{name}:{tag}", f"dir:{registry.work}/{tag}")
    assert digest((registry.work / "v1" / "manifest.json").read_bytes()) == registry.manifest
    skopeo("delete", "--tls-verify=false", name + ":docker")
    assert registry.head("skopeo", "docker") is None and registry.head("skopeo", "v1") == registry.manifest
    skopeo("logout", registry.host)
    assert "authentication required" in skopeo("inspect", "--tls-verify=false", name + ":v1", fails=True)


@pytest.fixture
def store():
    with storage() as flags:
        yield flags


def test_podman(registry, store):
    def podman(*args, **more):
        return run(*as_root(tool("podman"), *store, *args), env=registry.env, **more)

    name = registry.name("podman") + ":v1"
    podman("login", registry.host, "--tls-verify=false", "-u", registry.user, "--password-stdin", text=registry.password)
    podman("pull", f"oci:{registry.image}:v1")
    image = podman("images", "-q").split()[0]
    podman("push", "--tls-verify=false", "--compression-format", "zstd", image, registry.name("podman") + ":zstd")
    assert "tar+zstd" in run(tool("skopeo"), "inspect", "--raw", "--tls-verify=false", "docker://" + registry.name("podman") + ":zstd", env=registry.env)
    podman("push", "--tls-verify=false", image, name)
    pushed = registry.head("podman", "v1")
    podman("rmi", "-f", image)
    podman("pull", "--tls-verify=false", name)
    assert json.loads(podman("image", "inspect", name))[0]["Digest"] == pushed
    podman("manifest", "create", "both")
    podman("manifest", "add", "--tls-verify=false", "both", "docker://" + name)
    podman("manifest", "push", "--all", "--tls-verify=false", "both", "docker://" + registry.name("podman") + ":index")
    assert registry.head("podman", "index") not in (None, pushed)
    assert "index" in podman("search", "--list-tags", "--tls-verify=false", registry.name("podman"))


def test_buildah(registry, store):
    def buildah(*args, **more):
        return run(*as_root(tool("buildah"), *store, *args), env=registry.env, **more)

    name = registry.name("buildah")
    buildah("login", "--tls-verify=false", "-u", registry.user, "--password-stdin", registry.host, text=registry.password)
    work = buildah("from", "scratch").strip()
    buildah("copy", work, registry.image / "index.json", "/index.json")
    buildah("commit", work, "made")
    buildah("push", "--tls-verify=false", "made", f"docker://{name}:v1")
    buildah("rmi", "-a", "-f")
    buildah("pull", "--tls-verify=false", f"{name}:v1")
    (registry.work / "Containerfile").write_text(f"FROM {name}:v1\nCOPY oci-layout /a\nCOPY index.json /b\n")
    build = ("build", "--layers", "--isolation", "chroot", "--tls-verify=false", "--cache-to", f"{name}-cache", "--cache-from", f"{name}-cache", "-f",
             registry.work / "Containerfile", "-t", "built", registry.image)
    first = buildah(*build)
    assert "Pushing cache" in first, first
    buildah("rmi", "-a", "-f")
    assert "Cache pulled from remote" in buildah(*build)
    buildah("push", "--tls-verify=false", "--format", "v2s2", "built", f"docker://{name}:v2")
    assert registry.head("buildah", "v2")


def test_oras(registry):
    def oras(*args, **more):
        return run(tool("oras"), *args, env=registry.env, cwd=registry.work, **more)

    name = registry.name("oras")
    oras("login", registry.host, "--plain-http", "-u", registry.user, "--password-stdin", text=registry.password)
    (registry.work / "model.txt").write_text("a model")
    (registry.work / "card.json").write_text("{}")
    oras("push", "--plain-http", name + ":v1", "--artifact-type", "application/x.model", "model.txt")
    oras("attach", "--plain-http", name + ":v1", "--artifact-type", "application/x.card", "card.json:application/json")
    oras("attach", "--plain-http", name + ":v1", "--artifact-type", "application/x.other", "card.json")
    listed = json.loads(oras("discover", "--plain-http", "--format", "json", name + ":v1"))
    assert sorted(r["artifactType"] for r in listed["referrers"]) == ["application/x.card", "application/x.other"]
    listed = json.loads(oras("discover", "--plain-http", "--format", "json", "--artifact-type", "application/x.card", name + ":v1"))
    assert [r["artifactType"] for r in listed["referrers"]] == ["application/x.card"]
    oras("copy", "-r", "--from-plain-http", "--to-plain-http", name + ":v1", registry.name("oras2") + ":v1")
    assert len(json.loads(oras("discover", "--plain-http", "--format", "json", registry.name("oras2") + ":v1"))["referrers"]) == 2
    oras("cp", "--to-plain-http", "--from-oci-layout", f"{registry.image}:v1", name + ":image")
    assert oras("resolve", "--plain-http", name + ":image").strip() == registry.manifest
    oras("tag", "--plain-http", name + ":v1", "v2", "v3")
    assert oras("repo", "tags", "--plain-http", name).split() == ["image", "v1", "v2", "v3"]
    oras("pull", "--plain-http", name + ":v3", "-o", "back")
    assert (registry.work / "back" / "model.txt").read_text() == "a model"
    card = listed["referrers"][0]["digest"]
    oras("manifest", "delete", "--plain-http", "--force", f"{name}@{card}")
    assert len(json.loads(oras("discover", "--plain-http", "--format", "json", name + ":v1"))["referrers"]) == 1
    blob = oras("manifest", "fetch", "--plain-http", name + ":image", "--format", "json")
    assert json.loads(blob)["digest"] == registry.manifest


def test_regctl(registry):
    def regctl(*args, **more):
        return run(tool("regctl"), *args, env=registry.env, cwd=registry.work, **more)

    name = registry.name("regctl")
    regctl("registry", "set", registry.host, "--tls", "disabled", "--skip-check")
    regctl("registry", "login", registry.host, "-u", registry.user, "--pass-stdin", text=registry.password)
    regctl("image", "copy", "ocidir://layout:v1", name + ":v1")
    assert regctl("image", "digest", name + ":v1").strip() == registry.manifest
    regctl("image", "copy", name + ":v1", registry.name("regctl2") + ":v1")
    regctl("artifact", "put", "--artifact-type", "application/x.note", "--subject", name + ":v1", text="a note")
    assert "application/x.note" in regctl("artifact", "tree", name + ":v1")
    regctl("image", "export", name + ":v1", "out.tar")
    regctl("image", "import", name + ":again", "out.tar")
    assert regctl("tag", "ls", name).split() == ["again", "v1"]
    config = json.loads(regctl("manifest", "get", "--format", "raw-body", name + ":v1"))["config"]["digest"]
    assert json.loads(regctl("blob", "get", name, config))["architecture"] == "amd64"
    regctl("index", "create", name + ":index", "--ref", name + ":v1", "--platform", "linux/amd64")
    regctl("tag", "rm", name + ":again")
    assert regctl("tag", "ls", name).split() == ["index", "v1"]
    assert registry.head("regctl", "v1") == registry.manifest


@pytest.mark.parametrize("how", ["legacy", "oci-1-1"])
def test_cosign(registry, how):
    env = {**registry.env, "COSIGN_EXPERIMENTAL": "1"}

    def cosign(*args, **more):
        return run(tool("cosign"), *args, env=env, cwd=registry.work, **more)

    registry.log_in()
    name = registry.name("cosign" + how.replace("-", ""))
    run(tool("skopeo"), "copy", "--dest-tls-verify=false", f"oci:{registry.image}:v1", f"docker://{name}:v1", env=registry.env)
    signed = f"{name}@{registry.head('cosign' + how.replace('-', ''), 'v1')}"
    plain = ("--allow-insecure-registry", "--allow-http-registry")
    mode = [] if how == "legacy" else ["--registry-referrers-mode", "oci-1-1"]
    cosign("generate-key-pair")
    cosign("sign", *plain, *mode, "--key", "cosign.key", "--tlog-upload=false", "-y", signed)
    found = ("verify", *plain, "--key", "cosign.pub", "--insecure-ignore-tlog=true", *(["--experimental-oci11"] if mode else []))
    assert "were verified" in cosign(*found, signed)
    (registry.work / "predicate.json").write_text('{"fit": true}')
    cosign("attest", *plain, "--key", "cosign.key", "--tlog-upload=false", "-y", "--type", "custom", "--predicate", "predicate.json", signed)
    cosign("verify-attestation", *plain, "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--type", "custom", signed)
    if not mode:
        assert "Signatures" in cosign("tree", *plain, signed)
    (registry.work / "other").mkdir()
    run(tool("cosign"), "generate-key-pair", env=env, cwd=registry.work / "other")
    cosign(*[x if x != "cosign.pub" else "other/cosign.pub" for x in found], signed, fails=True)


def test_containerd(registry):
    with containerd(registry) as ctr:
        name, login = registry.name("ctr") + ":v1", ["--plain-http", "--user", f"{registry.user}:{registry.password}"]
        with tarfile.open(registry.work / "layout.tar", "w") as tar:
            for entry in ("oci-layout", "index.json", "blobs"):
                tar.add(registry.image / entry, arcname=entry)
        ctr("images", "import", "--index-name", name, registry.work / "layout.tar")
        ctr("images", "push", *login, name)
        pushed = registry.head("ctr", "v1")
        ctr("images", "rm", name)
        ctr("content", "prune", "references")
        ctr("images", "pull", *login, "--snapshotter", "native", name)
        assert pushed in ctr("images", "ls")


def test_buildx(registry):
    """docker buildx on a BuildKit of its own: what is built goes to the registry, and the cache of each step with it."""
    socket, config = registry.work / "b.sock", registry.work / "buildkitd.toml"
    config.write_text(f'root = "{registry.work}/broot"\n[registry."{registry.host}"]\n  http = true\n[worker.oci]\n  networkMode = "host"\n')
    registry.log_in()
    daemon = subprocess.Popen(as_root(tool("buildkitd"), "--config", config, "--addr", f"unix://{socket}", "--oci-worker-snapshotter", "native",
                                      "--containerd-worker=false"), stdout=subprocess.DEVNULL, stderr=open(registry.work / "b.log", "w"))
    try:
        wait_until(socket.exists, what=f"BuildKit, see {registry.work}/b.log")

        def buildx(*args):
            return run(*as_root(tool("buildx"), *args), env={**registry.env, "BUILDX_BUILDER": "own"}, cwd=registry.work)

        buildx("create", "--name", "own", "--driver", "remote", f"unix://{socket}")
        name = registry.name("buildx")
        run(tool("skopeo"), "copy", "--dest-tls-verify=false", f"oci:{registry.image}:v1", f"docker://{name}:base", env=registry.env)
        (registry.work / "Dockerfile").write_text(f"FROM {name}:base AS early\nCOPY layout/index.json /a\nFROM {name}:base\nCOPY --from=early /a /b\n")
        build = ("build", "--push", "-t", f"{name}:v1", "--cache-to", f"type=registry,ref={name}:cache,mode=max",
                 "--cache-from", f"type=registry,ref={name}:cache", "--progress", "plain", ".")
        buildx(*build)
        first = registry.head("buildx", "v1")
        assert first and registry.head("buildx", "cache")
        buildx("prune", "--all", "--force")
        assert "CACHED" in buildx(*build)
    finally:
        subprocess.run(as_root("kill", str(daemon.pid)), check=False)
        daemon.wait(timeout=30)
        subprocess.run(as_root("rm", "-rf", registry.work / "broot"), check=True)
