# SPDX-License-Identifier: Apache-2.0
"""`firn validate --policy snow-cli` beside the real `snow custom-image validate`, on real images that each break one rule.

Same verdict and same failing checks, except for three differences that are on purpose; RULES names them. Needs docker, bin/firn and
the base image firn/base-cpu (bin/firnd base build cpu --local).
"""
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys

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
WHOLE = "snow only compares the first element of the entrypoint, as Firn does; more of them is a warning of Firn"

# name: Dockerfile lines, checks that fail, why the lists may differ
IMAGES = {
    "good": ([], set(), None),
    "entrypoint": (['ENTRYPOINT ["/bin/bash"]', "ENV DASHBOARD_PORT=1"], {"entrypoint", "env_DASHBOARD_PORT"}, EARLY),
    "entrypoint-gone": (["RUN rm /usr/local/bin/entrypoint.sh"], {"entrypoint"}, EARLY),
    "entrypoint-mode": (["RUN chmod 0644 /usr/local/bin/entrypoint.sh"], {"entrypoint"}, SHELL),
    "entrypoint-more": (['ENTRYPOINT ["/usr/local/bin/entrypoint.sh", "env"]'], set(), WHOLE),
    "env": (["ENV DASHBOARD_PORT=12004"], {"env_DASHBOARD_PORT"}, None),
    "package": (["RUN " + UV % "uninstall" + "sqlparse"], {"pkg_sqlparse", "dependency_health"}, None),
    "dependency": ([wheel("fx_a", "1.0", "Requires-Dist: fx-gone", "Requires-Dist: numpy<1"), wheel("fx_b", "1.0", "Requires-Dist: jupyter-lsp")],
                   {"dependency_health"}, None),
    # The pattern is searched in the whole line, in any case: a broken package whose name holds it is excused as well.
    "ignored": ([wheel("fx_Jupyter_LSP_thing", "1.0", "Requires-Dist: fx-gone")], set(), None),
    "script": (["RUN chmod 0644 /opt/firn/start_nbctl.sh"], {"script_start_nbctl.sh"}, None),
    "metadata": ([wheel("fx_bad", "1.0", "Requires-Dist: a >= !!")], {"dependency_health"}, None),
}


def tag(name: str) -> str:
    return f"firn-e2e-validate/{name}:v1"


@pytest.fixture(scope="module", autouse=True)
def images():
    for name, (lines, _, _) in IMAGES.items():
        dockerfile = "\n".join([f"FROM {BASE}", *lines, ""])
        subprocess.run(["docker", "build", "-q", "-t", tag(name), "-"], input=dockerfile, text=True, check=True, stdout=subprocess.DEVNULL)
    yield
    subprocess.run(["docker", "image", "rm", "-f", *map(tag, IMAGES)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def snow(name: str) -> tuple[bool, set[str]]:
    done = subprocess.run([SNOW, "custom-image", "validate", tag(name)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
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
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(IMAGES, pool.map(lambda name: (snow(name), firn(name)), IMAGES)))


@pytest.mark.parametrize("name", IMAGES)
def test_same_verdict(name, verdicts):
    (passed, theirs), report = verdicts[name]
    _, want, why = IMAGES[name]
    ours = {c["id"] for c in report["checks"] if c["status"] == "fail"}
    assert (report["result"] == "pass") == passed, (theirs, ours)
    assert ours == want
    if why == EARLY:
        assert theirs == {"entrypoint"} and theirs <= ours
    elif why == SHELL:
        assert {"python_packages", "dependency_health"} == theirs and ours == {"entrypoint"}
    else:
        assert ours == theirs


def test_warning_for_more_of_an_entrypoint(verdicts):
    checks = {c["id"]: c for c in verdicts["entrypoint-more"][1]["checks"]}
    assert checks["entrypoint"]["status"] == "warn"


def test_pip_lines_are_those_of_the_real_pip(verdicts):
    for name in ("package", "dependency", "ignored", "metadata"):
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
