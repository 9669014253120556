# SPDX-License-Identifier: Apache-2.0
"""Random Python environments, judged by `firn validate` and by the real `pip check`, line by line.

    python e2e/pip_differential.py [--count 1000] [--seed 1] [--python /usr/bin/python3.12]... [--pip 24.0]...

Every environment is a site-packages directory full of metadata as it is found in the wild and worse: legacy versions, folded and
broken requirements, missing files, wrong encodings, duplicates, leftovers, eggs, links. The real pip looks at the directory, Firn at an
image that holds it. A difference that RULES does not name is an error. pips are installed once into .cache/pips.
"""
from __future__ import annotations  # the worker runs in old interpreters too

import argparse
import collections
import concurrent.futures
import contextlib
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import traceback
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PIPS = ["22.3.1", "23.0.1", "23.3.2", "24.0", "24.1.2", "24.2", "24.3.1", "25.0.1", "25.1.1", "25.3", "26.0.1", "26.1", "26.3"]
OLDEST = {(24, 1): 7, (25, 1): 8, (26, 1): 9, (99,): 10}  # the minor Python that pips below want
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)

NAMES = ["alpha", "Beta", "gamma-lib", "delta_x", "eps.ilon", "Zeta", "eta", "theta-2", "iota"]
VERSIONS = ["1.0", "1.0.0", "2", "2.1.3", "0.9rc1", "1.0.post1", "1.1.dev3", "2024.1.1", "1!1.0", "1.0+local.1", "3.0a1", "1.0.0b2.post3.dev4", "10.2",
            "1.0-1", "v1.2", "01.02"]
LEGACY = ["1.0_x", "2004d", "1.0.x", "unknown"]
OPERATORS = [">=", "<=", ">", "<", "==", "!=", "~=", "==="]
MARKERS = ['sys_platform == "linux"', 'sys_platform == "win32"', 'python_version >= "3.8"', 'python_version < "3"', 'extra == "x"',
           'extra == "x" and python_version >= "3"', 'os_name == "posix" or extra == "y"', 'implementation_name == "cpython"',
           'platform_system != "Linux"', 'python_full_version > "3.0.0"', '"linux" in sys_platform', 'platform_machine == "x86_64"',
           "(python_version > '3' and os_name != 'nt')", 'python_version in "3.10 3.11 3.12 3.13"', 'platform_python_implementation == "PyPy"']
BROKEN = ["a >= !!", "==1.0", "zeta (>=1", "eta; python_version", "iota>=1.0 <2", "beta>=1.0.x", 'alpha; sys_platform (=="darwin")', "beta==2004d", "eta @", "-x",
          "alpha>=1,", "beta >", "zeta>=1.*", "eta~=1", 'iota; foo == "1"']
TAGS = ["py3-none-any", "py2.py3-none-any", "py2-none-any", "cp{v}-cp{v}-manylinux_2_17_x86_64", "cp39-cp39-manylinux2014_x86_64", "cp38-abi3-linux_x86_64",
        "cp{v}-cp{v}-manylinux_2_17_aarch64", "cp{v}-none-any", "py3-none-win_amd64", "cp{v}-cp{v}-linux_x86_64", "py30-none-any"]


class Maker:
    """One environment, made of a seed."""

    def __init__(self, site: pathlib.Path, seed: str, minor: str):
        self.site, self.rng, self.minor = site, random.Random(seed), minor
        for _ in range(self.rng.randint(2, 8)):
            self.distribution()
        if self.rng.random() < 0.1:
            self.file("~" + self.rng.choice(NAMES)[1:] + "-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 1\n")

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def file(self, name: str, text: str | bytes):
        path = self.site / name
        if path.is_dir() or path.parent.is_file():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def spelled(self, name: str) -> str:
        return self.rng.choice([name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("_", "."), name.replace(".", "-")])

    def specifier(self) -> str:
        op = self.rng.choice(OPERATORS)
        version = self.rng.choice(VERSIONS)
        if op in ("==", "!=") and self.chance(0.3):
            version = self.rng.choice(["1.*", "1.0.*", "2.*"])
        return op + self.rng.choice(["", " "]) + version

    def requirement(self) -> str:
        if self.chance(0.03):
            return self.rng.choice(BROKEN)
        text = self.spelled(self.rng.choice(NAMES + ["missing-one"] if self.chance(0.2) else NAMES))
        if self.chance(0.1):
            text += self.rng.choice(["[x]", "[x,y]", "[no_such]", " [ x ]", "[X]", "[y,x]", "[No-Such]"])
        if self.chance(0.05):
            text += " @ https://example.invalid/a.zip" + (" " if self.chance(0.9) else "")
        elif self.chance(0.7):
            clauses = self.rng.choice([", ", ","]).join(self.specifier() for _ in range(self.rng.randint(1, 2)))
            text += self.rng.choice(["{}", " {}", " ({})"]).format(clauses)
        if self.chance(0.3):
            text += self.rng.choice(["; ", ";", " ; "]) + self.rng.choice(MARKERS)
        return text

    def again(self, asked: list[str]) -> str:
        """What was asked before, spelled in another way."""
        text = self.rng.choice(asked)
        return self.rng.choice([text, text.upper() if ";" not in text and "@" not in text else text, text.replace("1.0", "1.0.0", 1), text.replace(" ", ""),
                                text.replace("-", "_", 1), text.replace("_", ".", 1)])

    def header(self, name: str, version: str) -> list[str]:
        lines = ["Metadata-Version: 2.1"]
        if not self.chance(0.01):
            lines.append("Name: " + self.spelled(name))
        if not self.chance(0.01):
            lines.append("Version: " + version)
        asked = []
        for _ in range(self.rng.randint(0, 4)):
            text = self.again(asked) if asked and self.chance(0.1) else self.requirement()
            asked.append(text)
            if self.chance(0.01) and " " in text:
                text = text.replace(" ", "\n        ", 1)
            lines.append(self.rng.choice(["Requires-Dist", "Requires-Dist", "requires-dist"]) + ": " + text)
        if self.chance(0.3):
            lines.append("Provides-Extra: x")
        if self.chance(0.1):
            lines.append("Requires-Python: >=" + self.rng.choice(["2.7", "3.8", "3.99"]))
        return lines

    def body(self, lines: list[str]) -> bytes:
        end = "\r\n" if self.chance(0.05) else "\n"
        text = (end.join(lines) + end * 2 + "Text.\nRequires-Dist: in-the-body\n").encode()
        if self.chance(0.01):
            text = b"\xef\xbb\xbf" + text
        if self.chance(0.01):
            text += b"caf\xe9\n"
        return text

    def distribution(self):
        name = self.rng.choice(NAMES)
        version = self.rng.choice(LEGACY) if self.chance(0.03) else self.rng.choice(VERSIONS)
        stem = self.spelled(name).replace("-", "_")
        kind = self.rng.choices(["dist-info", "egg-info", "egg-file", "egg-link", "egg", "odd", "zipped-egg", "archive"], [80, 5, 4, 3, 3, 5, 3, 2])[0]
        getattr(self, kind.replace("-", "_"))(name, version, stem)

    def dist_info(self, name: str, version: str, stem: str):
        other = self.rng.choice(VERSIONS) if self.chance(0.03) else version
        directory = f"{stem}-{other}.dist-info"
        self.file(directory + "/METADATA", self.body(self.header(name, version)))
        if self.chance(0.6):
            tags = [self.rng.choice(TAGS[:2] if self.chance(0.9) else TAGS).format(v=self.minor.replace(".", "")) for _ in range(self.rng.randint(1, 2))]
            self.file(directory + "/WHEEL", "Wheel-Version: 1.0\n" + "".join(f"Tag: {t}\n" for t in tags))
        if self.chance(0.5):
            self.file(directory + "/RECORD", f"{directory}/METADATA,,\nx/y.so,,\n")

    def egg_info(self, name: str, version: str, stem: str):
        directory = f"{stem}-{version.replace('-', '_')}" + self.rng.choice(["", f"-py{self.minor}"]) + ".egg-info"
        self.file(directory + "/PKG-INFO", self.body([line for line in self.header(name, version) if not line.lower().startswith("requires-dist")]))
        if self.chance(0.7):
            lines = [self.requirement() for _ in range(self.rng.randint(0, 3))]
            lines += self.rng.choice([[], ["[x]", "beta"], ["[:python_version>='3']", "zeta>=1"], ["[y:sys_platform=='linux']", "eta"]])
            self.file(directory + "/requires.txt", "\n".join(line for line in lines if ";" not in line or self.chance(0.3)) + "\n")

    def egg_file(self, name: str, version: str, stem: str):
        self.file(f"{stem}-{version.replace('-', '_')}.egg-info", self.body([line for line in self.header(name, version) if not line.lower().startswith("requires-dist")]))

    def egg_link(self, name: str, version: str, stem: str):
        project = self.site / ("src-" + stem)
        if self.chance(0.8):
            self.file(f"src-{stem}/{stem}.egg-info/PKG-INFO", f"Metadata-Version: 1.1\nName: {name}\nVersion: {version}\n")
        self.file(f"{name}.egg-link", f"{project}\n.\n")
        if self.chance(0.8):
            self.file("easy-install.pth", f"{project}\n")

    def egg(self, name: str, version: str, stem: str):
        directory = f"{stem}-{version.replace('-', '_')}-py{self.minor}.egg"
        self.file(directory + "/EGG-INFO/PKG-INFO", f"Metadata-Version: 1.1\nName: {name}\nVersion: {version}\n" + ("Requires-Dist: zeta\n" if self.chance(0.2) else ""))
        if self.chance(0.4):
            self.file(directory + "/EGG-INFO/requires.txt", "beta>=1\n")
        if self.chance(0.3):
            self.file("easy-install.pth", f"./{directory}\n")

    def zipped(self, name: str, files: dict[str, bytes]):
        """A zip archive; half of the time with what zip programs add: directories, a comment, something in front."""
        out = io.BytesIO(b"#!/bin/sh\n" if self.chance(0.1) else b"")
        out.seek(0, io.SEEK_END)
        with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED if self.chance(0.7) else zipfile.ZIP_STORED) as z:
            for directory in dict.fromkeys(file.rpartition("/")[0] for file in files):
                if directory and self.chance(0.5):
                    z.writestr(directory + "/", b"")
            for file, data in files.items():
                z.writestr(file, data)
            z.comment = b"comment" if self.chance(0.1) else b""
        self.file(name, out.getvalue() if self.chance(0.97) else out.getvalue()[:-9])
        if self.chance(0.6):
            with open(self.site / "easy-install.pth", "a", encoding="utf-8") as f:
                f.write(f"./{name}\n")

    def zipped_egg(self, name: str, version: str, stem: str):
        header = [line for line in self.header(name, version) if not line.lower().startswith("requires-dist") or self.chance(0.1)]
        files = {"pkg/__init__.py": b"", "EGG-INFO/PKG-INFO": self.body(header)}
        if self.chance(0.6):
            lines = [self.requirement() for _ in range(self.rng.randint(0, 3))]
            lines += self.rng.choice([[], ["[x]", "beta"], ["[:python_version>='3']", "zeta>=1"]])
            files["EGG-INFO/requires.txt"] = ("\n".join(line for line in lines if ";" not in line) + "\n").encode()
        if self.chance(0.1):
            del files["EGG-INFO/PKG-INFO"]
        self.zipped(f"{stem}-{version.replace('-', '_')}-py{self.minor}.egg", files)

    def archive(self, name: str, version: str, stem: str):
        """A wheel or another archive: with metadata at its top if it is in sys.path."""
        kind = self.rng.choice(["dist-info", "dist-info", "egg-info"])
        header, top = self.body(self.header(name, version)), f"{stem}-{version.replace('-', '_')}.{kind}"
        files = {"pkg/__init__.py": b"", f"{top}/METADATA" if kind == "dist-info" else f"{top}/PKG-INFO": header}
        file = self.rng.choice([f"{stem}-{version.replace('-', '_')}-py3-none-any.whl", f"{stem}.whl", f"{stem}.zip"])
        if kind == "dist-info" and self.chance(0.5):
            files[f"{top}/WHEEL"] = f"Wheel-Version: 1.0\nTag: {self.rng.choice(TAGS).format(v=self.minor.replace('.', ''))}\n".encode()
        self.zipped(file, files)

    def odd(self, name: str, version: str, stem: str):
        kind = self.rng.randint(0, 3)
        if kind == 0:
            self.file(f"{stem}-{version}.dist-info/INSTALLER", "pip\n")
        elif kind == 1:
            self.file(f"{stem}.dist-info/METADATA", self.body(self.header(name, version)))
        elif kind == 2:
            self.file(f"{stem}-{version}.dist-info", "a file\n")
        else:
            self.file(f"vendor/{stem}-{version}.dist-info/METADATA", self.body(self.header(name, version)))


def install_pip(version: str) -> pathlib.Path:
    target = ROOT / ".cache/pips" / version
    if not (target / "pip").is_dir():
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", target, f"pip=={version}"], check=True,
                       stderr=subprocess.DEVNULL)
    return target


def look_again(path: list[str]):
    """Does what pkg_resources does when it is imported."""
    import pip._vendor.pkg_resources as resources

    resources.working_set = resources.WorkingSet(path)


def worker():
    """Runs in the interpreter under test with one pip: a site directory per line in, a result per line out."""
    import site

    home = sys.argv[2]
    sys.prefix, sys.exec_prefix = sys.base_prefix, sys.base_exec_prefix  # in a venv, pip looks away from what lies outside of it
    sys.path[:] = [p for p in sys.path if p and "-packages" not in p and pathlib.Path(p) != ROOT / "e2e"]
    base = list(sys.path)
    sys.path.append(home)
    import pip
    import pip._internal.metadata as metadata
    from pip._internal.cli.main import main

    importlib_backend = metadata.select_backend().__name__.endswith("importlib")
    with_resources = not importlib_backend or tuple(map(int, pip.__version__.split(".")[:2])) < (25, 1)  # the others load it never
    for line in sys.stdin:
        directory = line.strip()
        sys.path[:] = base
        site.addsitedir(directory, set())
        sys.path.append(home)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                if with_resources:
                    look_again([p for p in sys.path if p != home])
                code = main(["check"])
            except SystemExit as e:
                code = e.code
            except UnicodeDecodeError:  # a pip of its own process makes its set within main, which dies with 2 then
                code = 2
                traceback.print_exc()
        print(json.dumps({"exit": code, "lines": out.getvalue().splitlines(), "errors": err.getvalue()[-3000:]}), flush=True)


def image(directory: pathlib.Path, site: pathlib.Path, python: str, full: str) -> pathlib.Path:
    """A `docker save` file with one layer; entries of a directory in the order in which the file system gives them."""
    minor = full.rpartition(".")[0]
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(name: str, data: bytes, mode=0o644):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))

        add(f"usr/local/bin/python{minor}", ELF, 0o755)
        link = tarfile.TarInfo("usr/local/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{minor}"
        tar.addfile(link)
        add(f"usr/local/include/python{minor}/patchlevel.h", f'#define PY_VERSION "{full}"\n'.encode())
        add(f"usr/local/lib/python{minor}/os.py", b"")

        def walk(real: pathlib.Path, name: str):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
            for child in os.listdir(real):
                if (real / child).is_dir():
                    walk(real / child, f"{name}/{child}")
                else:
                    data = (real / child).read_bytes()
                    if child.endswith((".egg-link", ".pth")):
                        data = data.replace(str(site).encode(), f"/usr/local/lib/python{minor}/site-packages".encode())
                    add(f"{name}/{child}", data)

        walk(site, f"usr/local/lib/python{minor}/site-packages")
    blob = layer.getvalue()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/local/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(blob).hexdigest()]}}).encode()
    file = directory / "image.tar"
    with tarfile.open(file, "w") as tar:
        for name, data in {"c.json": config, "l/layer.tar": blob,
                           "manifest.json": json.dumps([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l/layer.tar"]}]).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def firn(file: pathlib.Path) -> dict:
    done = subprocess.run([ROOT / "bin/firn", "validate", "--no-cache", "--format", "json", f"docker-archive:{file}"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)["environments"][0]


# Differences on purpose: a name, and whether it explains the difference between the real result and Firn's.
RULES = {
    "a pip that dies has no lines, even if it printed some before": lambda real, ours: real["exit"] == ours["pip"]["exit"] == 2,
}


def judge(real: dict, ours: dict) -> str | None:
    """None for the same answer, the name of a rule for a difference on purpose, else "different"."""
    lines = sorted(line for line in real["lines"] if line != "No broken requirements found.")
    if (real["exit"], lines) == (ours["pip"]["exit"], ours["pip"]["lines"]):
        return None
    return next((name for name, explains in RULES.items() if explains(real, ours)), "different")


def starts(pip: str, minor: str) -> bool:
    """Whether a pip starts with a Python."""
    release, python = tuple(map(int, pip.split("."))), int(minor.split(".")[1])
    return (python < 12 or release >= (23, 1, 2)) and python >= next(oldest for below, oldest in OLDEST.items() if release < below)


def run(count: int, seed: int, pythons: list[str], pips: list[str], keep: pathlib.Path | None = None) -> collections.Counter:
    """Judges count environments and gives how often each outcome was seen; prints every difference that no rule explains."""
    outcomes, work = collections.Counter(), pathlib.Path(tempfile.mkdtemp(prefix="firn-pip-"))
    full = {p: subprocess.run([p, "-c", "import platform; print(platform.python_version())"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
            for p in pythons}
    groups = collections.defaultdict(list)
    for i in range(count):
        rng = random.Random(f"{seed}/{i}")
        python, pip = rng.choice(pythons), rng.choice(pips)
        minor = full[python].rpartition(".")[0]
        if not starts(pip, minor):
            pip = rng.choice([p for p in pips if starts(p, minor)])
        site = work / str(i) / "site-packages"
        Maker(site, f"{seed}/{i}", minor)
        source = next(install_pip(pip).glob("pip-*.dist-info*"))
        for name in ("METADATA", "WHEEL"):
            (site / f"pip-{pip}.dist-info").mkdir(exist_ok=True)
            shutil.copy(source / name, site / f"pip-{pip}.dist-info" / name)
        groups[python, pip].append((i, site))

    def judge_group(key, members):
        python, pip = key
        home = work / f"home-{pip}-{pathlib.Path(python).name}-{full[python]}"
        home.mkdir()
        (home / "pip").symlink_to(install_pip(pip) / "pip")
        done = subprocess.run([python, "-I", __file__, "--worker", home], input="".join(f"{site}\n" for _, site in members), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"], "PIP_DISABLE_PIP_VERSION_CHECK": "1", "HOME": str(work), "PIP_CONFIG_FILE": os.devnull})
        real = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(real) == len(members), done.stderr[-3000:]
        found = []
        for (i, site), answer in zip(members, real):
            found.append((i, key, site, answer, firn(image(site.parent, site, python, full[python]))))
        return found

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda item: judge_group(*item), groups.items()):
            for i, (python, pip), site, real, ours in found:
                outcome = judge(real, ours) or "same"
                outcomes[outcome] += 1
                outcomes["lines"] += len(real["lines"])
                outcomes["broken"] += real["exit"] != 0
                if outcome == "different":
                    theirs = collections.Counter(line for line in real["lines"] if line != "No broken requirements found.")
                    mine = collections.Counter(ours["pip"]["lines"])
                    print(f"-- {seed}/{i}: Python {full[python]}, pip {pip}: exit {real['exit']} against {ours['pip']['exit']}")
                    print(*(f"   pip : {line}" for line in (theirs - mine).elements()), *(f"   firn: {line}" for line in (mine - theirs).elements()), sep="\n")
                    print("   " + real["errors"].strip().replace("\n", "\n   ")[-900:])
                    if keep:
                        shutil.copytree(site, keep / str(i), dirs_exist_ok=True)
    shutil.rmtree(work)
    return outcomes


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker()
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--python", action="append")
    parser.add_argument("--pip", action="append")
    parser.add_argument("--keep", type=pathlib.Path, help="copy environments that differ to this directory")
    options = parser.parse_args()
    result = run(options.count, options.seed, options.python or [sys.executable], options.pip or PIPS, options.keep)
    print(dict(result))
    sys.exit(result["different"] > 0)
