# SPDX-License-Identifier: Apache-2.0
"""What tests need of the machine. What is missing is a failure that says what to do, never a skip."""
import os
import pathlib
import shutil

import pytest

# Which function of scripts/services.sh provides what.
SETS = {"FIRN_TEST_POSTGRES": "postgres_up", "FIRN_TEST_S3": "s3_up", "FIRN_TEST_S3_ACCESS_KEY": "s3_up", "FIRN_TEST_S3_SECRET_KEY": "s3_up",
        "FIRN_TEST_OCI": "oci_up"}


def variable(name: str) -> str:
    """The value of an environment variable."""
    if not os.environ.get(name):
        pytest.fail(f"{name} is not set: run make test, or this in the same bash first: source scripts/services.sh; {SETS[name]}", pytrace=False)
    return os.environ[name]


def tool(name: str) -> pathlib.Path:
    """A client of container registries: one that is built with pinned sources, or else one of the system's packages."""
    built = pathlib.Path(variable("FIRN_TEST_OCI")) / name
    found = built if built.exists() else shutil.which(name)
    if not found:
        pytest.fail(f"{name} is not on this machine: run make test, or in bash: source scripts/services.sh; oci_up", pytrace=False)
    return pathlib.Path(found)
