# SPDX-License-Identifier: Apache-2.0
"""`firn validate --policy snow-cli` beside the real `snow custom-image validate`, on real images that each break one rule.

Same verdict and same failing checks, except for the differences that are on purpose; IMAGES names them. Needs docker, bin/firn and
the base image firn/base-cpu (bin/firnd base build cpu --local).
"""
import concurrent.futures
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BASE = "firn/base-cpu:" + (ROOT / "images/base/VERSION").read_text().strip()
SNOW = str(pathlib.Path(sys.executable).parent / "snow")
UV = "uv pip %s --system --break-system-packages --no-cache "
SITE = "/usr/local/lib/python3.11/dist-packages"


def wheel(name: str, version: str, *lines: str) -> str:
    """A RUN line that makes an installed distribution out of nothing."""
    text = "\\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""])
    return f"RUN mkdir {SITE}/{name}-{version}.dist-info && printf '{text}' > {SITE}/{name}-{version}.dist-info/METADATA"


# What one peer does and the other does not, on purpose.
EARLY = "snow stops at a wrong entrypoint, Firn judges the rest as well"
SHELL = "snow runs pip through the entrypoint, so an entrypoint that cannot be started breaks its other checks"
DEAF = "snow runs pip through the entrypoint and takes what that prints for the answer of pip; Firn runs nothing of the image"
START = "snow takes a container that does not start for one without an entrypoint file, Firn names the reason"
NAMES = "snow tells snowflake-core from snowflake.core, which are one name (PEP 503)"
NO_PIP = "snow asks the pip of the image and so fails without one; Firn reads what is installed"
DIRECTORY = "snow takes a directory for an executable script"

REQUIRED = ["ipykernel", "sqlparse", "jinja2", "notebook", "ipython", "psutil", "snowflake-snowpark-python", "jupyter-server", "ray", "lightgbm-ray", "xgboost-ray", "snowflake",
            "snowflake.core", "snowflake-connector-python", "snowflake-ml-python"]
PACKAGES = {"pkg_" + name for name in REQUIRED}
ENTRYPOINT = "/usr/local/bin/entrypoint.sh"


def without(name: str):
    return lambda config: config["Env"].remove(next(e for e in config["Env"] if e.startswith(name + "=")))


# name: Dockerfile lines, or what changes the configuration of the base; checks that fail; those that snow says fail and why, None for the same
IMAGES = {
    "good": ([], set(), None),
    "entrypoint": (['ENTRYPOINT ["/bin/bash"]', "ENV DASHBOARD_PORT=1"], {"entrypoint", "env_DASHBOARD_PORT"}, ({"entrypoint"}, EARLY)),
    "entrypoint-gone": (["RUN rm /usr/local/bin/entrypoint.sh"], {"entrypoint"}, None),
    "entrypoint-mode": (["RUN chmod 0644 /usr/local/bin/entrypoint.sh"], {"entrypoint"}, ({"python_packages", "dependency_health"}, SHELL)),
    "entrypoint-more": (['ENTRYPOINT ["/usr/local/bin/entrypoint.sh", "env"]'], set(), None),
    "entrypoint-null": (lambda config: config.update(Entrypoint=None), {"entrypoint"}, None),
    "entrypoint-string": (lambda config: config.update(Entrypoint=ENTRYPOINT), set(), None),
    "entrypoint-relative": (lambda config: config.update(Entrypoint=["entrypoint.sh"]), {"entrypoint"}, None),
    "entrypoint-directory": ([f"RUN rm {ENTRYPOINT} && mkdir {ENTRYPOINT}"], {"entrypoint"}, None),
    "entrypoint-link": ([f"RUN mv {ENTRYPOINT} /opt/e && ln -s /opt/e {ENTRYPOINT}"], set(), None),
    "entrypoint-dangling": ([f"RUN ln -sf /opt/none {ENTRYPOINT}"], {"entrypoint"}, None),
    "entrypoint-loop": ([f"RUN ln -sf entrypoint.sh {ENTRYPOINT}"], {"entrypoint"}, None),
    "entrypoint-format": ([f"RUN printf 'exec \"$@\"' > {ENTRYPOINT}"], {"entrypoint"}, ({"python_packages", "dependency_health"}, SHELL)),
    "entrypoint-crlf": ([f"RUN sed -i 's/$/\\r/' {ENTRYPOINT}"], {"entrypoint"}, ({"python_packages", "dependency_health"}, SHELL)),
    "entrypoint-deaf": ([f"RUN printf '#!/bin/bash\\necho deaf\\n' > {ENTRYPOINT}"], set(), ({"python_packages"}, DEAF)),
    "env": (["ENV DASHBOARD_PORT=12004"], {"env_DASHBOARD_PORT"}, None),
    "env-missing": (without("DASHBOARD_PORT"), {"env_DASHBOARD_PORT"}, None),
    "env-empty": (["ENV DASHBOARD_PORT="], {"env_DASHBOARD_PORT"}, None),
    "env-bare": (lambda config: (without("DASHBOARD_PORT")(config), config["Env"].append("DASHBOARD_PORT")), {"env_DASHBOARD_PORT"}, None),
    "env-twice": (lambda config: config["Env"].insert(0, "DASHBOARD_PORT=1"), set(), None),
    "env-twice-wrong": (lambda config: config["Env"].append("DASHBOARD_PORT=1"), {"env_DASHBOARD_PORT"}, None),
    "package": (["RUN " + UV % "uninstall" + "sqlparse"], {"pkg_sqlparse", "dependency_health"}, None),
    "packages": (["RUN " + UV % "uninstall" + " ".join(REQUIRED)], PACKAGES | {"dependency_health"}, None),
    "package-name": ([f"RUN sed -i 's/^Name: .*/Name: snowflake-core/' {SITE}/snowflake_core-*.dist-info/METADATA"], set(), ({"pkg_snowflake.core"}, NAMES)),
    "package-spelling": ([f"RUN sed -i 's/^Name: .*/Name: SQLparse/' {SITE}/sqlparse-*.dist-info/METADATA && sed -i 's/^Name: .*/Name: Jupyter_Server/' {SITE}/jupyter_server-*.dist-info/METADATA"], set(), None),
    "no-pip": (["RUN " + UV % "uninstall" + "pip"], set(), ({"python_packages", "dependency_health"}, NO_PIP)),
    "no-python": (["RUN rm /usr/bin/python3*"], {"python_environment"} | PACKAGES, ({"python_packages", "dependency_health"}, NO_PIP)),
    "dependency": ([wheel("fx_a", "1.0", "Requires-Dist: fx-gone", "Requires-Dist: numpy<1"), wheel("fx_b", "1.0", "Requires-Dist: jupyter-lsp")],
                   {"dependency_health"}, None),
    # The pattern is searched in the whole line, in any case: a broken package whose name holds it is excused as well.
    "ignored": ([wheel("fx_Jupyter_LSP_thing", "1.0", "Requires-Dist: fx-gone")], set(), None),
    "extra": ([wheel("fx_a", "1.0", "Requires-Dist: fx-b[none,some]"), wheel("fx_b", "1.0", "Provides-Extra: some", 'Requires-Dist: fx-gone; extra == "some"')], set(), None),
    "script": (["RUN chmod 0644 /opt/firn/start_nbctl.sh"], {"script_start_nbctl.sh"}, None),
    "script-gone": (["RUN rm /opt/firn/start_nbctl.sh"], {"script_start_nbctl.sh"}, None),
    "script-elsewhere": (["WORKDIR /tmp"], {"script_start_nbctl.sh"}, None),
    "script-link": (["RUN ln -s /opt/firn /opt/linked", "WORKDIR /opt/linked"], set(), None),
    "script-user": (["RUN chmod 0700 /opt/firn/start_nbctl.sh", "USER 1234:1234"], {"script_start_nbctl.sh"}, None),
    "script-directory": (["RUN rm /opt/firn/start_nbctl.sh && mkdir /opt/firn/start_nbctl.sh"], {"script_start_nbctl.sh"}, (set(), DIRECTORY)),
    "metadata": ([wheel("fx_bad", "1.0", "Requires-Dist: a >= !!")], {"dependency_health"}, None),
    "user": (lambda config: config.update(User="nobody-has-this-name"), {"user"}, ({"entrypoint"}, START)),
    "workdir": (lambda config: config.update(WorkingDir="relative"), {"workdir", "script_start_nbctl.sh"}, ({"entrypoint"}, START)),
}


def changed(name: str, change):
    """Makes an image of the layers of the base with another configuration; the engine has the layers and does not ask for them."""
    (base,) = json.loads(subprocess.run(["docker", "image", "inspect", BASE], check=True, text=True, stdout=subprocess.PIPE).stdout)
    change(base["Config"])
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": base["Config"], "rootfs": {"type": "layers", "diff_ids": base["RootFS"]["Layers"]}}).encode()
    manifest = json.dumps([{"Config": "c.json", "RepoTags": [tag(name)], "Layers": [f"{i}.tar" for i in range(len(base["RootFS"]["Layers"]))]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for file, data in {"c.json": config, "manifest.json": manifest}.items():
            info = tarfile.TarInfo(file)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    subprocess.run(["docker", "load", "-q"], input=out.getvalue(), check=True, stdout=subprocess.DEVNULL)


def tag(name: str) -> str:
    return f"firn-e2e-validate/{name}:v1"


@pytest.fixture(scope="module", autouse=True)
def images():
    for name, (lines, _, _) in IMAGES.items():
        if callable(lines):
            changed(name, lines)
            continue
        dockerfile = "\n".join([f"FROM {BASE}", *lines, ""])
        subprocess.run(["docker", "build", "-q", "--network", "none", "-t", tag(name), "-"], input=dockerfile, text=True, check=True, stdout=subprocess.DEVNULL)
    yield
    subprocess.run(["docker", "image", "rm", "-f", *map(tag, IMAGES)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def snow(name: str) -> tuple[bool, set[str]]:
    # Each has a home of its own: two that make the directory of their logs at once fail with "File exists".
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run([SNOW, "custom-image", "validate", tag(name)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "SNOWFLAKE_HOME": home})
    failed = set(re.findall(r"\[FAIL\] ([A-Za-z0-9_.-]+):", done.stdout))
    assert (done.returncode == 0) == (not failed), done.stdout
    assert "[PASS] image_exists" in done.stdout, done.stdout
    return done.returncode == 0, failed


def firn(name: str, *flags: str) -> dict:
    done = subprocess.run([ROOT / "bin/firn", "validate", "--policy", "snow-cli", "--format", "json", *flags, tag(name)],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    report = json.loads(done.stdout)
    assert done.returncode == report["exit_code"] in (0, 1), done.stderr
    return report


@pytest.fixture(scope="module")
def verdicts(images):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        return dict(zip(IMAGES, pool.map(lambda name: (snow(name), firn(name)), IMAGES)))


@pytest.mark.parametrize("name", IMAGES)
def test_same_verdict(name, verdicts):
    (passed, theirs), report = verdicts[name]
    _, want, difference = IMAGES[name]
    ours = {c["id"] for c in report["checks"] if c["status"] == "fail"}
    assert ours == want, [c for c in report["checks"] if c["id"] in ours ^ want]
    assert theirs == (difference[0] if difference else want)
    if (report["result"] == "pass") != passed:
        assert difference[1] in (DEAF, NAMES, NO_PIP, DIRECTORY)


def test_image_that_does_not_exist():
    name = tag("none")
    snow_said = subprocess.run([SNOW, "custom-image", "validate", name], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert snow_said.returncode == 1 and "[FAIL] image_exists" in snow_said.stdout, snow_said.stdout
    done = subprocess.run([ROOT / "bin/firn", "validate", "--format", "json", "docker-daemon:" + name], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    report = json.loads(done.stdout)
    assert done.returncode == 3 and [c["id"] for c in report["checks"] if c["status"] == "fail"] == ["image_exists"]


def test_warning_for_more_of_an_entrypoint(verdicts):
    checks = {c["id"]: c for c in verdicts["entrypoint-more"][1]["checks"]}
    assert checks["entrypoint"]["status"] == "warn"


def test_pip_lines_are_those_of_the_real_pip(verdicts):
    for name in ("package", "packages", "dependency", "ignored", "extra", "metadata"):
        done = subprocess.run(["docker", "run", "--rm", "--network", "none", "--entrypoint", "", tag(name), "pip", "check"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        pip = verdicts[name][1]["environments"][0]["pip"]
        lines = sorted(line for line in done.stdout.splitlines() if line != "No broken requirements found.")
        assert (pip["exit"], pip["lines"]) == (done.returncode, lines), name


def test_diff_and_explain():
    done = subprocess.run([ROOT / "bin/firn", "image", "diff", "--format", "json", BASE, tag("package")], text=True, check=True, stdout=subprocess.PIPE)
    diff = json.loads(done.stdout)
    assert [(c["name"], c["to"]) for c in diff["packages"]] == [("sqlparse", None)]
    assert diff["shared_layers"] == diff["a"]["layers"] == diff["b"]["layers"] - 1
    done = subprocess.run([ROOT / "bin/firn", "image", "explain", "--format", "json", "numpy", tag("dependency")], text=True, check=True, stdout=subprocess.PIPE)
    (numpy,) = json.loads(done.stdout)["python"]
    assert "fx-a" in [r["package"] for r in numpy["required_by"]] and "requirements/science.txt" in numpy["from"]["created_by"]
