# SPDX-License-Identifier: Apache-2.0
"""Damaged, lying and hostile images: a clear error that names the layer and the place, or a right report; never a panic, never much
memory or time, and nothing written outside of the cache. Needs bin/firn; every image is made here.
"""
import gzip
import hashlib
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import time
import zlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
MEMORY = 600 << 20  # bytes
SECONDS = 60
SITE = "usr/local/lib/python3.11/site-packages"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)


# Runs the rest of its arguments and writes how much memory that took, KiB. A child of this process itself would count its memory too.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def header(name: str, size: int = 0, kind: bytes = b"0", link: str = "", mode: int = 0o644) -> bytes:
    """One tar header; tarfile is too slow for a million of them."""
    block = bytearray(512)
    block[0:len(name)] = name.encode()
    block[100:108], block[108:116], block[116:124] = b"%07o\0" % mode, b"0000000\0", b"0000000\0"
    block[124:136] = b"%011o\0" % size if size < 8 << 30 else b"\x80" + size.to_bytes(11, "big")
    block[136:148], block[148:156], block[156:157] = b"00000000000\0", b" " * 8, kind
    block[157:157 + len(link)] = link.encode()
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def entry(name: str, data: bytes = b"", **more) -> bytes:
    out = b""
    if len(name) > 100:
        out = header("././@LongLink", len(name) + 1, b"L") + padded(name.encode() + b"\0")
    return out + header(name[:100], len(data), **more) + padded(data)


END = bytes(1024)
PYTHON = [entry("usr/local/bin/python3.11", ELF, mode=0o755), entry("usr/local/bin/python3", kind=b"2", link="python3.11"), entry("usr/local/lib/python3.11/os.py")]


def layer(*entries: bytes) -> bytes:
    return b"".join(entries) + END


def dist(name: str, *lines: str) -> bytes:
    return entry(f"{SITE}/{name}-1.dist-info/METADATA", "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1", *lines, "", ""]).encode())


def config(*layers: bytes, **more) -> dict:
    return {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/local/bin"]}, "rootfs": {"type": "layers", "diff_ids": [sha(one) for one in layers]}, **more}


class Image:
    """An image in the making: a docker-archive, or an OCI layout; what is given is taken as it is."""

    def __init__(self, *layers: bytes, stored: list[bytes] | None = None, conf: dict | bytes | None = None):
        self.layers, self.stored = layers, stored or list(layers)
        conf = config(*layers) if conf is None else conf
        self.config = conf if isinstance(conf, bytes) else json.dumps(conf).encode()

    def archive(self, file: pathlib.Path, **change) -> str:
        listed = {"Config": "c.json", "RepoTags": ["x:1"], "Layers": [f"{i}/layer.tar" for i in range(len(self.stored))], **change}
        with open(file, "wb") as f:
            f.write(entry("c.json", self.config))
            for i, one in enumerate(self.stored):
                f.write(entry(f"{i}/layer.tar", one))
            f.write(entry("manifest.json", json.dumps([listed]).encode()) + END)
        return f"docker-archive:{file}"

    def layout(self, directory: pathlib.Path, manifest: dict | bytes | None = None, index: bytes | None = None, **blobs: bytes) -> str:
        (directory / "blobs/sha256").mkdir(parents=True)

        def put(data: bytes, media: str) -> dict:
            (directory / "blobs/sha256" / sha(data)[7:]).write_bytes(data)
            return {"mediaType": "application/vnd.oci.image." + media, "digest": sha(data), "size": len(data)}

        whole = {"schemaVersion": 2, "config": put(self.config, "config.v1+json"), "layers": [put(one, "layer.v1.tar+gzip") for one in self.stored], **(manifest if isinstance(manifest, dict) else {})}
        text = manifest if isinstance(manifest, bytes) else json.dumps(whole).encode()
        (directory / "index.json").write_bytes(index or json.dumps({"schemaVersion": 2, "manifests": [put(text, "manifest.v1+json")]}).encode())
        for name, data in blobs.items():
            (directory / "blobs/sha256" / name).write_bytes(data)
        return f"oci-layout:{directory}"


GOOD = layer(*PYTHON, dist("alpha", "Requires-Dist: beta"), entry("data", os.urandom(300_000)))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]


def zeros(gibibytes: int) -> bytes:
    """Members of a gzip stream that unpack to so many GiB."""
    return gzip.compress(bytes(64 << 20)) * (16 * gibibytes)


def many(count: int, kind: bytes = b"0", prefix: str = "d/", link: str = "") -> tuple[bytes, str]:
    """A gzip layer of count entries with nothing in them, and its diffID."""
    z, digest, out = zlib.compressobj(1, wbits=31), hashlib.sha256(), []
    first = bytearray(header(prefix + "0000000", kind=kind, link=link))
    at, base = len(prefix), int(first[148:154], 8)
    for start in range(0, count, 1000):
        block = bytearray()
        for i in range(start, min(start + 1000, count)):
            digits = b"%07d" % i
            first[at:at + 7] = digits
            first[148:154] = b"%06o" % (base + sum(digits) - 7 * 48)
            block += first
        digest.update(block)
        out.append(z.compress(bytes(block)))
    digest.update(END)
    return b"".join(out) + z.compress(END) + z.flush(), "sha256:" + digest.hexdigest()


def packed(stored: bytes, diff_id: str) -> Image:
    return Image(conf={**config(), "rootfs": {"type": "layers", "diff_ids": [diff_id]}}, stored=[stored])


def squeezed(entries) -> Image:
    """An image whose only layer is written, hashed and compressed piece by piece."""
    z, digest, out = zlib.compressobj(1, wbits=31), hashlib.sha256(), []
    for piece in [*entries, END]:
        digest.update(piece)
        out.append(z.compress(piece))
    return packed(b"".join([*out, z.flush()]), "sha256:" + digest.hexdigest())


def old_sparse(name: str, real: int) -> bytes:
    """The GNU form of before PAX: one hole of nearly real bytes."""
    block = bytearray(header(name, 512, b"S"))
    block[257:265] = b"ustar  \0"
    block[386:398], block[398:410] = b"\x80" + (real - 512).to_bytes(11, "big"), b"%011o\0" % 512
    block[483:495] = b"\x80" + real.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(512)


def outer(tmp: pathlib.Path, data: bytes) -> str:
    (tmp / "outer").write_bytes(data)
    return f"docker-archive:{tmp / 'outer'}"


def nested(tmp: pathlib.Path, depth: int) -> str:
    """Indexes in indexes."""
    image = Image(GOOD)
    image.layout(tmp / "l")
    text = (tmp / "l/index.json").read_bytes()
    for _ in range(depth):
        (tmp / "l/blobs/sha256" / sha(text)[7:]).write_bytes(text)
        text = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": sha(text), "size": len(text)}]}).encode()
    (tmp / "l/index.json").write_bytes(text)
    return f"oci-layout:{tmp / 'l'}"


def deep(levels: int) -> bytes:
    return b'{"a":' + b"[" * levels + b"]" * levels + b"}"


LAYER = re.escape(sha(GOOD))
PLACE = f"layer {LAYER} does not decode at byte [0-9]+ of its unpacked stream"
# name: how the image is made, exit code, kind of the error or None, what the message says
CASES = {
    "cut layer": (lambda t: Image(GOOD, stored=[GOOD[:100_000]]).archive(t / "a"), 3, "corrupt", PLACE),
    "cut gzip": (lambda t: Image(GOOD, stored=[gzip.compress(GOOD)[:-1000]]).layout(t / "l"), 3, "corrupt", PLACE),
    "cut archive": (lambda t: outer(t, pathlib.Path(Image(GOOD).archive(t / "a")[15:]).read_bytes()[:200_000]), 3, "corrupt", "damaged"),
    "empty layer file": (lambda t: Image(GOOD, stored=[b""]).archive(t / "a"), 3, "corrupt", f"layer {LAYER}"),
    "flipped bit": (lambda t: Image(GOOD, stored=[flipped(GOOD, 250_000)]).archive(t / "a"), 3, "corrupt", f"layer {LAYER} unpacks to sha256:"),
    "flipped bit in a header": (lambda t: Image(GOOD, stored=[flipped(GOOD, 600)]).archive(t / "a"), 3, "corrupt", f"layer {LAYER}"),
    "flipped bit in gzip": (lambda t: Image(GOOD, stored=[flipped(gzip.compress(GOOD), 150_000)]).archive(t / "a"), 3, "corrupt", PLACE),
    "lying diffID": (lambda t: Image(GOOD, conf=config(b"other")).layout(t / "l"), 3, "corrupt", f"unpacks to {LAYER}"),
    "lying blob digest": (lambda t: Image(GOOD).layout(t / "l", **{sha(GOOD)[7:]: gzip.compress(GOOD)}), 3, "corrupt", f"blob {LAYER} of layer {LAYER} has digest"),
    "lying config digest": (lambda t: Image(GOOD).layout(t / "l", **{sha(Image(GOOD).config)[7:]: Image(GOOD, conf=config(GOOD, extra=1)).config}), 3, "corrupt", "configuration of image .* has digest"),
    "lying manifest digest": (lambda t: Image(GOOD).layout(t / "l", index=json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
                              "digest": sha(b"m")}]}).encode(), **{sha(b"m")[7:]: json.dumps({"schemaVersion": 2, "config": {"digest": sha(Image(GOOD).config), "size": 1}, "layers": []}).encode()}), 3, "corrupt", "has digest"),
    "missing layer": (lambda t: Image(GOOD).archive(t / "a", Layers=["gone/layer.tar"]), 3, "corrupt", "gone/layer.tar"),
    "fewer layers": (lambda t: Image(GOOD).archive(t / "a", Layers=[]), 3, "corrupt", "has 0 layers, its configuration lists 1"),
    "bad digest": (lambda t: Image(GOOD).layout(t / "l", manifest={"layers": [{"digest": "sha256:../../../../etc/passwd", "size": 1}]}), 3, "corrupt", "does not decode"),
    "names out of the layout": (lambda t: Image(GOOD).archive(t / "a", Config="../../../../../../etc/passwd"), 3, "corrupt", "not in the archive"),
    "layer out of the archive": (lambda t: Image(GOOD).archive(t / "a", Layers=["/etc/passwd"]), 3, "corrupt", "/etc/passwd"),
    "bomb": (lambda t: packed(gzip.compress(header("zero", 3 << 30)) + zeros(3) + gzip.compress(END), sha(b"")).archive(t / "a"), 3, "limit", "more than 200 times"),
    "bomb of metadata": (lambda t: packed(gzip.compress(header(f"{SITE}/a-1.dist-info/METADATA", 3 << 30)) + zeros(3), sha(b"")).archive(t / "a"), 3, "limit", "more than 200 times"),
    "bomb of an archive": (lambda t: outer(t, zeros(3)), 3, "limit", "more than 200 times"),
    "zstd with a window of 2 GiB": (lambda t: packed(b"\x28\xb5\x2f\xfd\x00\xa8" + struct.pack("<I", (3 << 3) | 1)[:3] + b"abc", sha(b"")).archive(t / "a"), 3, "corrupt", "does not decode"),
    "million files": (lambda t: packed(*many(1_000_000)).archive(t / "a"), 1, None, None),
    "two million files": (lambda t: packed(*many(2_000_000)).archive(t / "a"), 3, "limit", "more files and metadata"),
    "million whiteouts": (lambda t: packed(*many(1_000_000, prefix="d/.wh.")).archive(t / "a"), 1, None, None),
    "million links in a loop": (lambda t: packed(*many(1_000_000, kind=b"2", link="d/0000000/x")).archive(t / "a"), 1, None, None),
    "million hard links to nothing": (lambda t: packed(*many(1_000_000, kind=b"1", link="a/b/c/d")).archive(t / "a"), 1, None, None),
    "deep directories": (lambda t: squeezed(entry("a/" * 1990 + f"{i}/f") for i in range(100_000)).archive(t / "a"), 3, "limit", "more files and metadata"),
    "deep directories that fit": (lambda t: squeezed(entry("a/" * 1990 + f"{i}/f") for i in range(30_000)).archive(t / "a"), 1, None, None),
    "entries below links": (lambda t: squeezed([entry(f"l{i}", kind=b"2", link="/".join(["."] * 40) + f"/l{i + 1}") for i in range(39)] + [entry(f"l0/d{i}/f") for i in range(100_000)]).archive(t / "a"), 3, "limit", "too many symbolic links"),
    "long name": (lambda t: Image(layer(entry("n" * 5000))).archive(t / "a"), 3, "corrupt", "does not decode at byte [0-9]+ .*a name of 5000 bytes"),
    "loops": (lambda t: Image(layer(entry("usr/local/bin/python3", kind=b"2", link="python3"), entry("etc", kind=b"2", link="etc"), entry("a", kind=b"2", link="b/c"), entry("b", kind=b"2", link="a/c"),
                                    entry("h", kind=b"1", link="i"), entry("i", kind=b"1", link="h"))).archive(t / "a"), 1, None, None),
    "absolute and .. names": (lambda t: Image(layer(*PYTHON, entry("/../../../../tmp/firn-evil", b"x"), entry("../firn-evil", b"x"), entry("/firn-evil", b"x"), entry("..", kind=b"5"), entry("evil", kind=b"2", link="../../../../../etc"),
                                                    entry("evil/passwd", b"x"))).archive(t / "a"), 1, None, None),
    "metadata line of 10 MB": (lambda t: Image(layer(*PYTHON, dist("a", "Requires-Dist: " + "x" * 10_000_000))).archive(t / "a"), 1, None, None),
    "summary of 7 MB": (lambda t: Image(layer(*PYTHON, dist("a", "Summary: " + "x" * 7_000_000))).archive(t / "a"), 1, None, None),
    "100 000 requirements": (lambda t: Image(layer(*PYTHON, dist("a", *(f"Requires-Dist: gone-{i}>=1" for i in range(100_000))))).archive(t / "a"), 1, None, None),
    "deep marker": (lambda t: Image(layer(*PYTHON, dist("a", "Requires-Dist: b; " + "(" * 1_000_000))).archive(t / "a"), 1, None, None),
    "deep marker that ends": (lambda t: Image(layer(*PYTHON, dist("a", "Requires-Dist: b; " + "(" * 500_000 + 'os_name == "posix"' + ")" * 500_000))).archive(t / "a"), 1, None, None),
    "wide marker": (lambda t: Image(layer(*PYTHON, dist("a", "Requires-Dist: b; " + " or ".join(['os_name == "nt"'] * 200_000)))).archive(t / "a"), 1, None, None),
    "long version": (lambda t: Image(layer(*PYTHON, dist("a", "Requires-Dist: b==" + "1." * 1_000_000 + "1", "Requires-Dist: c>=" + "9" * 1_000_000))).archive(t / "a"), 1, None, None),
    "many specifiers": (lambda t: Image(layer(*PYTHON, dist("b"), dist("a", "Requires-Dist: b" + ",".join(["!=2"] * 300_000)))).archive(t / "a"), 1, None, None),
    "long pth": (lambda t: Image(layer(*PYTHON, entry(f"{SITE}/a.pth", b"/usr\n/nowhere\n" * 500_000))).archive(t / "a"), 1, None, None),
    "deep direct_url.json": (lambda t: Image(layer(*PYTHON, dist("a"), entry(f"{SITE}/a-1.dist-info/direct_url.json", deep(1_000_000)))).archive(t / "a"), 1, None, None),
    "20 000 packages": (lambda t: Image(layer(*PYTHON, *(dist(f"p{i}", f"Requires-Dist: p{i + 1}", f"Requires-Dist: p{i // 2}", "Requires-Dist: gone") for i in range(20_000)))).archive(t / "a"), 1, None, None),
    "RECORD of 30 MB": (lambda t: Image(layer(*PYTHON, dist("a"), entry(f"{SITE}/a-1.dist-info/RECORD", b"x/y.so,,\n" * 3_400_000))).archive(t / "a"), 1, None, None),
    "dpkg status of 12 MB": (lambda t: Image(layer(entry("var/lib/dpkg/status", b"".join(b"Package: p%d\nStatus: install ok installed\nVersion: 1\n\n" % i for i in range(200_000))))).archive(t / "a"), 1, None, None),
    "sparse of 4 EiB": (lambda t: Image(layer(*PYTHON, old_sparse(f"{SITE}/a-1.dist-info/METADATA", 1 << 62), old_sparse("b", 1 << 62))).archive(t / "a"), 1, None, None),
    "deep configuration": (lambda t: Image(GOOD, conf=json.dumps(config(GOOD)).encode()[:-1] + b',"x":' + deep(5000) + b"}").layout(t / "l"), 3, "corrupt", "nested deeper than 100"),
    "deep manifest": (lambda t: Image(GOOD).layout(t / "l", manifest=deep(1_000_000)), 3, "corrupt", "does not decode"),
    "deep index": (lambda t: Image(GOOD).layout(t / "l", index=deep(1_000_000)), 3, "corrupt", "does not decode"),
    "deep manifest.json": (lambda t: outer(t, entry("manifest.json", deep(1_000_000)) + END), 3, "corrupt", "does not decode"),
    "large configuration": (lambda t: Image(GOOD, conf=config(GOOD, x="y" * (17 << 20))).archive(t / "a"), 3, "limit", "has more than"),
    "large index": (lambda t: Image(GOOD).layout(t / "l", index=b'{"x":"' + b"y" * (5 << 20) + b'"}'), 3, "limit", "has more than"),
    "indexes in indexes": (lambda t: nested(t, 20), 3, "unsupported", "nested deeper"),
    "100 000 layers": (lambda t: Image(GOOD, conf={**config(), "rootfs": {"diff_ids": [sha(GOOD)] * 100_000}}).archive(t / "a"), 3, "limit", "100000 layers"),
    "archive of 200 000 files": (lambda t: outer(t, gzip.decompress(many(200_000)[0])), 3, "limit", "more than 100000 files"),
    "no archive": (lambda t: outer(t, os.urandom(10_000)), 3, "corrupt", "no tar file or damaged"),
    "empty archive": (lambda t: outer(t, b""), 3, "corrupt", "manifest.json"),
}


def listing(directory: pathlib.Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*"))


@pytest.mark.parametrize("name", CASES)
def test_bad_image(name, tmp_path):
    make, code, kind, says = CASES[name]
    (tmp_path / "image").mkdir()
    image = make(tmp_path / "image")
    for place in ("home", "work", "tmp"):
        (tmp_path / place).mkdir()
    before = listing(tmp_path / "image")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "FIRN_CACHE_DIR": str(tmp_path / "cache")}
    began = time.monotonic()
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        child = subprocess.Popen([sys.executable, "-c", MEASURE, tmp_path / "memory", ROOT / "bin/firn", "validate", "--format", "json", image], cwd=tmp_path / "work", env=env,
                                 stdout=out, stderr=err)
        child.wait()
    took, memory = time.monotonic() - began, int((tmp_path / "memory").read_text()) << 10
    print(f"{name}: {took:.1f} s, {memory >> 20} MB", file=sys.stderr)
    text, errors = (tmp_path / "out").read_text(), (tmp_path / "err").read_text()
    assert "panic" not in errors and "goroutine" not in errors, errors[-3000:]
    report = json.loads(text)
    error = report["error"]
    assert child.returncode == report["exit_code"] == code, error
    assert (error and error["kind"]) == kind, error
    if says:
        assert re.search(says, error["message"]), error["message"]
        if "layer sha256" in error["message"]:
            assert error["layer"] in error["message"]
    assert memory <= MEMORY and took <= SECONDS
    assert len(text) < 64 << 20
    assert listing(tmp_path / "image") == before and not listing(tmp_path / "home") + listing(tmp_path / "work") + listing(tmp_path / "tmp")
    assert all(re.fullmatch(r"sha256-[0-9a-f]{64}(\.scan|\.blob)", file) for file in listing(tmp_path / "cache"))


def test_cache_stays_clean_and_heals(tmp_path):
    """A lying image leaves nothing in the cache that an honest one would use; damaged entries are written anew."""
    env = {**os.environ, "FIRN_CACHE_DIR": str(tmp_path / "cache")}

    def validate(image: str) -> dict:
        done = subprocess.run([ROOT / "bin/firn", "validate", "--format", "json", image], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return json.loads(done.stdout)

    evil = layer(*PYTHON, dist("evil"))
    validate(Image(GOOD, stored=[evil]).archive(tmp_path / "lie"))
    validate(Image(GOOD, stored=[evil]).layout(tmp_path / "lying"))
    honest = Image(GOOD).layout(tmp_path / "honest")
    want = validate(honest)
    assert [p["name"] for p in want["environments"][0]["packages"]] == ["alpha"] and not want["image"]["layers"][0]["cached"]
    assert validate(honest)["image"]["layers"][0]["cached"]
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(flipped(file.read_bytes(), file.stat().st_size // 2))
    again = validate(honest)
    assert not again["image"]["layers"][0]["cached"] and again["environments"] == want["environments"]
    assert validate(honest)["image"]["layers"][0]["cached"]
    running = [subprocess.Popen([ROOT / "bin/firn", "validate", "--format", "json", honest], env={**env, "FIRN_CACHE_DIR": str(tmp_path / "shared")}, stdout=subprocess.PIPE) for _ in range(8)]
    for child in running:
        assert json.loads(child.communicate()[0])["environments"] == want["environments"]
