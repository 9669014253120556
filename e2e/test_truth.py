# SPDX-License-Identifier: Apache-2.0
"""What `firn validate` says is installed, beside what the interpreters of the image see when they run.

Every image is the base image plus files and commands; every interpreter named for it is asked for its sys.path and distributions, and
its pip for its list. Needs docker, bin/firn and the base image firn/base-cpu (bin/firnd base build cpu --local).
"""
import concurrent.futures
import io
import json
import pathlib
import platform
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BASE = "firn/base-cpu:" + (ROOT / "images/base/VERSION").read_text().strip()
DIST = "usr/local/lib/python3.11/dist-packages"
DEBIAN = "usr/lib/python3/dist-packages"
USER = ".local/lib/python3.11/site-packages"
LIBRARY = "lib/python3.11/site-packages"

# Runs in the image.
ASK = r"""
import importlib.metadata as m, json, os, re, sys, zipfile
sys.path[:] = [p for p in sys.path if p]
found = {}
for d in m.distributions():
    name, version = d.metadata["Name"], d.version
    if name and version and not os.path.basename(str(d._path)).startswith("~"):
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
print(json.dumps({"prefix": sys.prefix, "version": "%d.%d.%d" % sys.version_info[:3], "found": found,
                  "path": [p for p in sys.path if (os.path.isdir(p) or zipfile.is_zipfile(p)) and not p.endswith("/lib-dynload")]}))
"""


def metadata(name: str, version: str, *lines: str) -> str:
    return "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, "", "Requires-Dist: text", ""])


def wheel(site: str, name: str, version: str, *lines: str) -> dict[str, str]:
    return {f"{site}/{name}-{version}.dist-info/METADATA": metadata(name, version, *lines)}


def link(target: str) -> tuple[str]:
    return (target,)


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in files.items():
            z.writestr(name, text)
    return out.getvalue()


PYTHON = "/usr/bin/python3"
FULL = platform.python_version()
FOREIGN = f"python{sys.version_info.major}.{sys.version_info.minor}"


def foreign(prefix: str) -> dict[str, bytes]:
    """The interpreter that runs this, with its library, below another prefix."""
    home = pathlib.Path(sys.base_prefix)
    found = {f"{prefix}/bin/{FOREIGN}": (home / "bin" / FOREIGN).resolve().read_bytes(), f"{prefix}/bin/python3": link(FOREIGN), f"{prefix}/bin/python": link("python3")}
    for file in [*(home / "lib").glob("libpython*.so.*"), *(home / "lib" / FOREIGN).rglob("*")]:
        inside = file.relative_to(home)
        if file.is_file() and not {"test", "site-packages", "dist-packages", "__pycache__", "idlelib", "ensurepip", "tkinter", "lib2to3"} & set(inside.parts) and "config-" not in str(inside):
            found[f"{prefix}/{inside}"] = file.read_bytes()
    return found


# name: files (text, or a link), further Dockerfile lines, interpreters to ask
IMAGES = {
    "base": ({}, [], [PYTHON]),
    "pythonpath": (
        {**wheel("opt/pp", "numpy", "0.1"), **wheel("opt/pp", "only_there", "1"), **wheel("app/src", "relative", "1"), **wheel("opt/second", "only_there", "2"),
         "opt/pp/x.pth": "/opt/not\n", **wheel("opt/not", "not_seen", "1"), **wheel("opt/twice", "twice", "1")},
        ["WORKDIR /app", "ENV PYTHONPATH=/opt/pp:src:/nowhere:/opt/second/:/opt/twice:/opt/twice"], [PYTHON]),
    "pythonpath-here": ({**wheel("app", "here", "1")}, ["WORKDIR /app", "ENV PYTHONPATH=:/opt/pp"], [PYTHON]),
    "pth": (
        {f"{DIST}/a.pth": "# comment\n\nimport os; os.sep\nimport\tsys\n/opt/a   \n../relative\n/opt/missing\n/opt/a\n", f"{DIST}/b.pth": "\ufeff/opt/bom\n",
         f"{DIST}/.hidden.pth": "/opt/hidden\n", f"{DIST}/c.PTH": "/opt/upper\n", f"{DEBIAN}/d.pth": "/opt/debian\n", f"{DIST}/e.pth": "/opt/crlf\r\n/opt/last",
         f"{DIST}/f.pth": link("/opt/linked.pth"), "opt/linked.pth": "/opt/through\n",
         f"{DIST}/g.pth": " /opt/space\n  # odd\n./\n", f"{DIST}/sub/h.pth": "/opt/nested\n",
         **{k: v for name in ("a", "bom", "hidden", "upper", "debian", "crlf", "last", "through", "space", "nested") for k, v in
            wheel("opt/" + name, "in_" + name, "1").items()}, **wheel("usr/local/lib/python3.11/relative", "rel", "1"),
         "opt/a/inner.pth": "/opt/nested\n"},
        [], [PYTHON]),
    "user": (
        {**wheel("root/" + USER, "sqlparse", "9.9"), **wheel("root/" + USER, "of_user", "1"), f"root/{USER}/u.pth": "/opt/u\n", **wheel("opt/u", "from_user_pth", "1")},
        [], [PYTHON]),
    "user-other": (
        {**wheel("home/ann/" + USER, "of_ann", "1"), **wheel("root/" + USER, "of_root", "1")},
        ["RUN echo 'ann:x:1234:1234::/home/ann:/bin/sh' >> /etc/passwd && chown -R 1234:1234 /home/ann", "USER ann"], [PYTHON]),
    "user-home": (
        {**wheel("data/" + USER, "of_data", "1"), **wheel("root/" + USER, "of_root", "1")}, ["ENV HOME=/data"], [PYTHON]),
    "user-base": (
        {**wheel("ub/lib/python3.11/site-packages", "of_base", "1"), **wheel("root/" + USER, "of_root", "1")}, ["ENV PYTHONUSERBASE=/ub"], [PYTHON]),
    "user-off": ({**wheel("root/" + USER, "of_root", "1")}, ["ENV PYTHONNOUSERSITE=1"], [PYTHON]),
    "user-number": (
        {**wheel("home/ann/" + USER, "of_ann", "1"), **wheel("root/" + USER, "of_root", "1"), **wheel(USER, "of_nobody", "1")}, ["USER 4321"], [PYTHON]),
    "venvs": (
        {**wheel("opt/closed/" + LIBRARY, "own", "1"), **wheel("opt/open/" + LIBRARY, "own", "2"), **wheel("opt/open/" + LIBRARY, "numpy", "0.2"),
         **wheel("opt/uv/" + LIBRARY, "own", "3"), **wheel("root/" + USER, "of_user", "1"), f"opt/closed/{LIBRARY}/x.pth": "/opt/x\n", **wheel("opt/x", "x", "1"),
         "opt/bin/python3": link("/opt/closed/bin/python3")},
        ["RUN python3 -m venv --without-pip /opt/closed && python3 -m venv --without-pip --system-site-packages /opt/open && "
         "uv venv -q --offline --allow-existing --python /usr/bin/python3 /opt/uv", "ENV PATH=/opt/open/bin:/opt/closed/bin:$PATH"],
        ["/opt/open/bin/python3", "/opt/closed/bin/python", "/opt/uv/bin/python", PYTHON]),
    "venv-cfg": (
        {"opt/v/pyvenv.cfg": "HOME=/usr/bin\nnonsense\nInclude-System-Site-Packages =  TRUE \nhome = /nowhere\nversion = 3.11.2\n", "opt/v/bin/python3": link("/usr/bin/python3"),
         **wheel("opt/v/" + LIBRARY, "own", "1"),
         "opt/w/bin/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = true\ninclude-system-site-packages = false\n", "opt/w/bin/python3": link("/usr/bin/python3.11"),
         **wheel("opt/w/bin/" + LIBRARY, "beside", "1"), **wheel("opt/w/" + LIBRARY, "own", "1"),
         "opt/x/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = yes\n", "opt/x/bin/python": link("/opt/v/bin/python3"), **wheel("opt/x/" + LIBRARY, "own", "1")},
        ["ENV PATH=/opt/v/bin:/opt/w/bin:$PATH"], ["/opt/v/bin/python3", "/opt/w/bin/python3", "/opt/x/bin/python"]),
    "venv-linked": (
        {"opt/bin/python3": link("/opt/v/bin/python3"), "opt/current": link("v"), **wheel("opt/v/" + LIBRARY, "own", "1")},
        ["RUN python3 -m venv --without-pip /opt/v", "ENV PATH=/opt/current/bin:/opt/bin:/usr/local/bin:/usr/bin:/bin"], ["/opt/current/bin/python3"]),
    "shapes": (
        {f"{DIST}/flat-1.0.egg-info": metadata("flat", "1.0"), f"{DIST}/dir-1.0-py3.11.egg-info/PKG-INFO": metadata("dir", "1.0"),
         f"{DIST}/requires_txt-1.0.egg-info/PKG-INFO": metadata("requires_txt", "1.0"), f"{DIST}/requires_txt-1.0.egg-info/requires.txt": "numpy\n[x]\nnothing\n",
         f"{DIST}/link.egg-link": "/opt/link\n.\n", f"{DIST}/easy-install.pth": "/opt/link\n./egg-1.0-py3.11.egg\n", "opt/link/link.egg-info/PKG-INFO": metadata("link", "3"),
         f"{DIST}/dead.egg-link": "/opt/dead\n.\n", f"{DIST}/egg-1.0-py3.11.egg/EGG-INFO/PKG-INFO": metadata("egg", "1.0"), f"{DIST}/unlisted-1.0-py3.11.egg/EGG-INFO/PKG-INFO": metadata("unlisted", "1.0"),
         **wheel(DIST, "ed", "1"), f"{DIST}/ed-1.dist-info/direct_url.json": '{"url": "file:///opt/ed", "dir_info": {"editable": true}}', f"{DIST}/__editable__.ed-1.pth": "/opt/ed/src\n",
         "opt/ed/src/ed/__init__.py": "", **wheel(DIST + "/vendor/_vendor", "vendored", "1"), **wheel(DIST + "/~eft", "gone", "1"), f"{DIST}/~rphan-1.0.dist-info/METADATA": metadata("orphan", "1.0"),
         f"{DIST}/A.B__c-1.dist-info/METADATA": metadata("A.B__c", "1"), f"{DIST}/crlf-1.dist-info/METADATA": metadata("crlf", "1").replace("\n", "\r\n"),
         f"{DIST}/linked-1.dist-info": link("/opt/real.dist-info"), "opt/real.dist-info/METADATA": metadata("linked", "1"),
         f"{DIST}/linked_file-1.dist-info/METADATA": link("/opt/files/METADATA"), "opt/files/METADATA": metadata("linked_file", "1"),
         **wheel(DEBIAN, "older", "1"), **wheel(DIST, "older", "2"),
         f"{DIST}/nested/x.egg-info/PKG-INFO": metadata("nested", "1"), f"{DIST}/Folded-1.dist-info/METADATA": "Metadata-Version: 2.1\nNAME: Folded\nversion: 1\nRequires-Dist: numpy\n (>=1)\n\n"},
        [], [PYTHON]),
    "pythons": (
        {**foreign("opt/py"), **foreign("opt/conda"), **wheel(f"opt/py/lib/{FOREIGN}/site-packages", "own", "1"), **wheel(f"opt/py/lib/{FOREIGN}/site-packages", "numpy", "0.3"),
         **wheel(f"opt/conda/lib/{FOREIGN}/site-packages", "own", "2"), f"opt/conda/conda-meta/python-{FULL}-h1_0.json": "{}", "opt/conda/conda-meta/history": "",
         f"opt/py/include/{FOREIGN}/patchlevel.h": f'#define PY_VERSION "{FULL}"\n', **wheel("opt/pp", "shared", "1"), f"opt/py/lib/{FOREIGN}/site-packages/.h.pth": "/opt/h\n",
         f"opt/py/lib/{FOREIGN}/site-packages/b.pth": "\ufeff/opt/b\n", **wheel("opt/h", "of_hidden", "1"), **wheel("opt/b", "of_bom", "1"), **wheel(f"root/.local/lib/{FOREIGN}/site-packages", "of_user", "1")},
        ["RUN chmod 755 /opt/*/bin/*", "ENV PYTHONPATH=/opt/pp LD_LIBRARY_PATH=/opt/py/lib PATH=/usr/local/bin:/usr/bin:/bin:/opt/py/bin:/opt/conda/bin"],
        [PYTHON, "/opt/py/bin/python3", "/opt/conda/bin/python"]),
    "archives": (
        {f"{DIST}/zegg-1.0-py3.11.egg": zipped({"EGG-INFO/PKG-INFO": metadata("zegg", "1.0"), "EGG-INFO/requires.txt": "numpy\n", "zegg.py": ""}),
         f"{DIST}/unlisted-1.0-py3.11.egg": zipped({"EGG-INFO/PKG-INFO": metadata("unlisted", "1.0")}), f"{DIST}/easy-install.pth": "./zegg-1.0-py3.11.egg\n./no.zip\n/opt/in_wheel-1-py3-none-any.whl\n",
         f"{DIST}/no.zip": "no archive", "opt/in_wheel-1-py3-none-any.whl": zipped({"in_wheel-1.dist-info/METADATA": metadata("in_wheel", "1")}),
         "opt/src.zip": zipped({"pkg/__init__.py": "", "in_zip-2.dist-info/METADATA": metadata("in_zip", "2"), "in_zip_too-3.egg-info/PKG-INFO": metadata("in_zip_too", "3")}),
         f"{DIST}/linked.pth": "/opt/linked.egg\n", "opt/linked.egg": link("elsewhere.egg"), "opt/elsewhere.egg": zipped({"EGG-INFO/PKG-INFO": metadata("elsewhere", "1.0")})},
        ["ENV PYTHONPATH=/opt/src.zip"], [PYTHON]),
    "relocated": (
        {**wheel("opt/usr/local/lib/python3.11/dist-packages", "local", "1"), **wheel("opt/usr/lib/python3/dist-packages", "shared", "1"), **wheel("opt/usr/lib/python3.11/site-packages", "not_seen", "1"),
         **wheel("opt/venv/local/lib/python3.11/dist-packages", "of_venv", "1"), "opt/link": link("/usr"), "opt/current": link("usr"), "srv/bin/python3": link("/opt/current/bin/python3")},
        ["RUN mkdir -p /opt/usr/bin && cp /usr/bin/python3.11 /opt/usr/bin/ && ln -s python3.11 /opt/usr/bin/python3 && cp -r /usr/lib/python3.11 /opt/usr/lib/",
         "RUN /opt/usr/bin/python3 -m venv --without-pip --system-site-packages /opt/venv", "ENV PATH=$PATH:/opt/venv/bin:/opt/usr/bin"],
        [PYTHON, "/opt/usr/bin/python3", "/opt/venv/bin/python3"]),
    "relocated-links": (
        {"opt/link": link("/usr"), "srv/bin/python3": link("/opt/link/bin/python3"), **wheel(DIST, "own", "1")}, ["ENV PATH=/srv/bin:/usr/local/bin:/usr/bin:/bin"], ["/srv/bin/python3"]),
    "pth-utf8": ({f"{DIST}/a.pth": "# caf\u00e9\n/opt/caf\u00e9\n", **wheel("opt/caf\u00e9", "of_cafe", "1")}, ["ENV LC_ALL="], [PYTHON]),
    "no-python3": (
        {**wheel("opt/v/" + LIBRARY, "own", "1")}, ["RUN python3 -m venv --without-pip /opt/v && rm /opt/v/bin/python3*  && rm /opt/v/bin/python && ln -s /usr/bin/python3 /opt/v/bin/python",
                                                    "ENV PATH=/opt/v/bin:$PATH"], ["/opt/v/bin/python"]),
    "deleted": (
        {**wheel(DIST, "fx_old", "1.0")},
        [f"RUN rm -r /{DIST}/fx_old-1.0.dist-info /{DIST}/sqlparse-*.dist-info", f"RUN mkdir /{DIST}/fx_new-2.0.dist-info && printf 'Name: fx-new\\nVersion: 2.0\\n\\n' > /{DIST}/fx_new-2.0.dist-info/METADATA",
         f"RUN rm -r /{DEBIAN} && mkdir -p /{DEBIAN}/again-1.dist-info && printf 'Name: again\\nVersion: 1\\n\\n' > /{DEBIAN}/again-1.dist-info/METADATA"], [PYTHON]),
}


def tag(name: str) -> str:
    return f"firn-truth/{name}:v1"


def context(files: dict, lines: list[str]) -> bytes:
    """A build context whose directory root holds the files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(name: str, data: bytes):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))

        copied = ["COPY root/ /"] if files else []
        add("Dockerfile", "\n".join([f"FROM {BASE}", *copied, *lines, ""]).encode())
        for name, body in files.items():
            if isinstance(body, tuple):
                info = tarfile.TarInfo("root/" + name)
                info.type, info.linkname = tarfile.SYMTYPE, body[0]
                tar.addfile(info)
            else:
                add("root/" + name, body if isinstance(body, bytes) else body.encode())
    return out.getvalue()


def run(name: str, *command: str) -> str:
    return subprocess.run(["docker", "run", "--rm", "--network", "none", "--entrypoint", "", tag(name), *command], check=True, text=True, stdout=subprocess.PIPE).stdout


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def look(name: str) -> tuple[dict, list, dict]:
    """Builds an image; gives what its interpreters and its pip say, and Firn's report."""
    files, lines, pythons = IMAGES[name]
    subprocess.run(["docker", "build", "-q", "--network", "none", "-t", tag(name), "-"], input=context(files, lines), check=True, stdout=subprocess.DEVNULL)
    real = {python: json.loads(run(name, python, "-c", ASK)) for python in pythons}
    pip = json.loads(run(name, "pip", "list", "--format", "json", "--disable-pip-version-check"))
    done = subprocess.run([ROOT / "bin/firn", "validate", "--format", "json", "docker-daemon:" + tag(name)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return real, pip, json.loads(done.stdout)


@pytest.fixture(scope="module")
def seen():
    try:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            yield dict(zip(IMAGES, pool.map(look, IMAGES)))
    finally:
        subprocess.run(["docker", "image", "rm", "-f", *map(tag, IMAGES)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("name", IMAGES)
def test_interpreters_see_what_firn_says(name, seen):
    real, _, report = seen[name]
    ours = {e["prefix"]: e for e in report["environments"]}
    for python, truth in real.items():
        e = ours[truth["prefix"]]
        assert e["sys_path"] == truth["path"], python
        assert {p["name"]: p["version"] for p in e["packages"]} == truth["found"], python
        assert e["python_version"] == truth["version"], python
    first = next(iter(real.values()))
    assert report["environments"][0]["primary"] and report["environments"][0]["prefix"] == first["prefix"]


@pytest.mark.parametrize("name", IMAGES)
def test_pip_lists_what_firn_says(name, seen):
    _, pip, report = seen[name]
    lists = [{p["name"]: p["version"] for p in e["packages"] if ".whl/" not in p["path"]} for e in report["environments"]]  # pip passes over wheels in sys.path
    assert {canonical(p["name"]): p["version"] for p in pip} in lists


def test_our_registry_gives_the_report_of_the_daemon(pushed):
    """With the credentials that docker login left behind, and with none."""
    remote = f"registry:{pushed.host}/ml/churn/images/churn:v1"
    reports = []
    for image in (remote, "docker-daemon:firn-e2e/churn:v1"):
        report = pushed.firn_validate(image)
        assert report["error"] is None, report["error"]
        for layer in report["image"]["layers"]:
            for key in ("digest", "media_type", "size", "unpacked_size", "cached"):
                del layer[key]
        for key in ("ref", "source", "digest", "index_digest", "size", "unpacked_size"):
            del report["image"][key]
        del report["timing"]
        for check in report["checks"]:
            check["message"] = check["message"].replace(image, "IMAGE")
        reports.append(report)
    assert reports[0] == reports[1]
    done = subprocess.run([ROOT / "bin/firn", "validate", "--format", "json", remote], env={**pushed.env, "DOCKER_CONFIG": "/nonexistent"}, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == 3 and json.loads(done.stdout)["error"]["kind"] == "unauthorized", done.stdout


@pytest.mark.parametrize("name, body, lines", [
    ("latin", b"/opt/caf\xe9\n", []), ("comment", b"# caf\xe9\n", ["ENV LC_ALL=C.UTF-8"]), ("ascii", "/opt/caf\u00e9\n".encode(), ["ENV LC_ALL=C"]),
])
def test_a_path_file_that_python_cannot_decode(name, body, lines):
    subprocess.run(["docker", "build", "-q", "--network", "none", "-t", tag(name), "-"], input=context({f"{DIST}/a.pth": body}, lines), check=True, stdout=subprocess.DEVNULL)
    try:
        with pytest.raises(subprocess.CalledProcessError):
            run(name, PYTHON, "-c", "")
        done = subprocess.run([ROOT / "bin/firn", "validate", "--format", "json", "docker-daemon:" + tag(name)], text=True, stdout=subprocess.PIPE)
        failed = {c["id"]: c for c in json.loads(done.stdout)["checks"] if c["status"] == "fail"}
        assert {"python_environment", "dependency_health"} <= set(failed)
        assert f"/{DIST}/a.pth" in failed["python_environment"]["message"]
    finally:
        subprocess.run(["docker", "image", "rm", "-f", tag(name)], stdout=subprocess.DEVNULL)
