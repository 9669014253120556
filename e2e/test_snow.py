# SPDX-License-Identifier: Apache-2.0
"""The snow command line: what a platform engineer types, on a server that runs no containers."""
import json

import pytest

from line import Failed


@pytest.fixture
def snow(door):
    """Runs snow as ADMIN and gives the rows that it prints as JSON, or its text."""

    def run(*args, rows=True):
        out = door.run(door.snow, *args, "-c", "admin", *(["--format", "json"] if rows else []))
        return json.loads(out[out.index("["):] if out.lstrip().startswith("[") else out[out.index("{"):]) if rows else out

    return run


def test_connection(snow):
    assert "OK" in snow("connection", "test", rows=False)


def test_sql_with_several_statements(snow):
    assert snow("sql", "-q", "select 1 as a; select 'two' as b") == [[{"A": 1}], [{"B": "two"}]]


def test_an_error_is_shown_with_its_text(snow):
    with pytest.raises(Failed, match="does not exist or not authorized"):
        snow("sql", "-q", "describe custom runtime environment no_such_env")


def test_image_repositories(snow, door):
    snow("spcs", "image-repository", "create", "snow_repo", "--database", "ML", "--schema", "CHURN")
    url = snow("spcs", "image-repository", "url", "snow_repo", "--database", "ML", "--schema", "CHURN", rows=False)
    assert f"{door.host}/ml/churn/snow_repo" in url
    listed = snow("spcs", "image-repository", "list", "--database", "ML", "--schema", "CHURN")
    assert "SNOW_REPO" in [r["name"] for r in listed]
    assert snow("spcs", "image-repository", "list-images", "snow_repo", "--database", "ML", "--schema", "CHURN") == []
    snow("spcs", "image-repository", "drop", "snow_repo", "--database", "ML", "--schema", "CHURN")


def test_image_registry(snow, door):
    assert door.host in snow("spcs", "image-registry", "url", rows=False)
    assert snow("spcs", "image-registry", "token")["expires_in"] > 0
    assert "Login Succeeded" in door.snow_login("ADMIN")


def test_compute_pools(snow):
    snow("spcs", "compute-pool", "create", "snow_pool", "--family", "CPU_X64_XS", "--min-nodes", "1", "--max-nodes", "2")
    assert snow("spcs", "compute-pool", "describe", "snow_pool")[0]["instance_family"] == "CPU_X64_XS"
    snow("spcs", "compute-pool", "suspend", "snow_pool")
    assert snow("spcs", "compute-pool", "describe", "snow_pool")[0]["state"] == "SUSPENDED"
    snow("spcs", "compute-pool", "resume", "snow_pool")
    snow("spcs", "compute-pool", "set", "snow_pool", "--max-nodes", "3")
    assert snow("spcs", "compute-pool", "describe", "snow_pool")[0]["max_nodes"] == 3
    snow("spcs", "compute-pool", "drop", "snow_pool")
    assert "SNOW_POOL" not in [r["name"] for r in snow("spcs", "compute-pool", "list")]


def test_stages(snow, tmp_path):
    where = ["--database", "ML", "--schema", "CHURN"]
    (tmp_path / "a.txt").write_text("one\n")
    snow("stage", "create", "snow_stage", *where)
    snow("stage", "copy", str(tmp_path / "a.txt"), "@snow_stage/dir", *where)
    listed = snow("stage", "list-files", "snow_stage", *where)
    assert [(r["name"], r["size"]) for r in listed] == [("snow_stage/dir/a.txt", 4)]
    (tmp_path / "down").mkdir()
    snow("stage", "copy", "@snow_stage/dir/a.txt", str(tmp_path / "down"), *where)
    assert (tmp_path / "down" / "a.txt").read_text() == "one\n"
    snow("stage", "remove", "snow_stage", "/dir/a.txt", *where)
    assert snow("stage", "list-files", "snow_stage", *where) == []


@pytest.mark.parametrize("kind", ["database", "schema", "role", "user", "warehouse", "compute-pool", "image-repository", "stage"])
def test_objects_are_listed(snow, kind):
    rows = snow("object", "list", kind)
    assert rows and all("name" in r for r in rows)
