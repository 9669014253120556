# SPDX-License-Identifier: Apache-2.0
"""`firn image sbom` of the real base image, beside what the image says of itself and read by the SPDX project's own tools.

Needs docker, bin/firn and the base image firn/base-cpu.
"""
import json
import pathlib
import subprocess

import pytest
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

ROOT = pathlib.Path(__file__).resolve().parents[1]
BASE = "firn/base-cpu:" + (ROOT / "images/base/VERSION").read_text().strip()
# What Python sees that no Debian package has brought; of two with one name the first.
PYTHON = """
import glob, importlib.metadata, pathlib
owned = {line.strip() for name in glob.glob("/var/lib/dpkg/info/*.list") for line in open(name)}
seen = set()
for d in importlib.metadata.distributions():
    if d.name.lower() not in seen and str(d._path) not in owned:
        print(d.name, d.version)
    seen.add(d.name.lower())
"""


def run(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def inside(*command: str) -> set[tuple[str, ...]]:
    return {tuple(line.split()) for line in run("docker", "run", "--rm", "--network=none", "--entrypoint", command[0], BASE, *command[1:]).splitlines()}


def sbom(form: str) -> str:
    return run(str(ROOT / "bin/firn"), "image", "sbom", "--format", form, f"docker-daemon:{BASE}")


@pytest.fixture(scope="module")
def cyclonedx() -> dict:
    return json.loads(sbom("cyclonedx"))


def test_everything_is_listed_once(cyclonedx):
    listed = [(c["bom-ref"].partition(":")[0], c["name"], c["version"]) for c in cyclonedx["components"]]
    assert len(listed) == len(set(listed))
    assert {part[1:] for part in listed if part[0] == "python"} == inside("python3", "-c", PYTHON)
    assert {part[1:] for part in listed if part[0] == "deb"} == inside("dpkg-query", "-W", "-f", "${Package} ${Version}\n")


def test_dependencies_and_licences(cyclonedx):
    names = {c["bom-ref"]: c["name"] for c in cyclonedx["components"]}
    edges = {names.get(d["ref"]): {names[to] for to in d.get("dependsOn", [])} for d in cyclonedx["dependencies"]}
    assert {"numpy", "python-dateutil", "pytz", "tzdata"} <= edges["pandas"]
    assert "libc6" in edges["bash"]
    python = [c for c in cyclonedx["components"] if c.get("purl", "").startswith("pkg:pypi/")]
    assert sum("licenses" in c for c in python) > 0.95 * len(python)


def test_spdx_tools_accept_the_document(tmp_path, cyclonedx):
    file = tmp_path / "base.spdx.json"
    file.write_text(sbom("spdx"))
    document = parse_file(str(file))
    assert validate_full_spdx_document(document) == []
    assert len(document.packages) == len(cyclonedx["components"]) + 1  # the image itself
