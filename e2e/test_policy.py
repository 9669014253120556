# SPDX-License-Identifier: Apache-2.0
"""The policy of the account: set with SQL, enforced at CREATE, the same on the server and for `firn validate --server`."""
import json
import os
import re
import subprocess

import pytest
from snowflake.connector.errors import ProgrammingError

from conftest import BIN
from line import ROOT

# The example image has lightgbm of the base, and no such label.
TEAM = """version: 1
name: team-ml
labels:
  com.example.owner:
packages:
  forbidden:
    - lightgbm>=4
"""
NAME = "policy_env"
POLICY = "RUNTIME_ENVIRONMENT_POLICY"


def firn(line, *args, **env) -> subprocess.CompletedProcess:
    login = {"SNOWFLAKE_USER": "dan", "SNOWFLAKE_PASSWORD": line.passwords["dan"], "FIRN_CACHE_DIR": str(line.work / "firn-cache")}
    return subprocess.run([BIN / "firn", *args], env={**line.env, **login, **env}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def validate(line, *flags, **env) -> tuple:
    """Judges the example image as the server does; gives the report and what was said beside it."""
    done = firn(line, "validate", "--server", f"http://{line.host}", "--base-type", "CPU", "--format", "json", *flags,
                "docker-daemon:firn-e2e/churn:v1", **env)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout), done.stderr


def failed(report) -> list:
    return [c["id"] for c in report["checks"] if c["status"] == "fail"]


def shown(line) -> dict:
    return line.rows("ADMIN", f"SHOW PARAMETERS LIKE '{POLICY}' IN ACCOUNT")[0]


def report(line) -> dict:
    return json.loads(line.sql("paula", f"SELECT SYSTEM$GET_RUNTIME_ENVIRONMENT_REPORT('{NAME}')")[0][0])


def clean(line):
    line.sql("ADMIN", f"ALTER ACCOUNT UNSET {POLICY}")
    line.sql("paula", f"DROP CUSTOM RUNTIME ENVIRONMENT IF EXISTS {NAME}")


@pytest.fixture
def team(pushed):
    pushed.sql("ADMIN", f"ALTER ACCOUNT SET {POLICY} = $${TEAM}$$")
    yield pushed
    clean(pushed)


def test_create_is_refused_by_the_policy_of_the_account(team):
    with pytest.raises(ProgrammingError) as caught:
        team.create_environment(name=NAME)
    text = str(caught.value)
    digest = re.fullmatch(r"team-ml \(sha256 ([0-9a-f]{64})\)", shown(team)["value"])[1]
    assert "2 of " in text and f"failed by policy team-ml (sha256 {digest[:12]})" in text
    assert "[FAIL] forbidden_lightgbm: package lightgbm" in text and "fix: RUN pip uninstall -y lightgbm" in text
    assert "[FAIL] label_com.example.owner" in text and "fix: LABEL" in text
    assert team.rows("paula", f"SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE '{NAME}'") == []


def test_client_and_server_say_the_same(team):
    local, said = validate(team)
    assert "said now: policy team-ml" in said and "1 approved bases" in said
    assert failed(local) == ["forbidden_lightgbm", "label_com.example.owner"]
    assert local["policy"]["source"] == "account" and local["policy"]["sha256"] in shown(team)["value"]
    with pytest.raises(ProgrammingError) as caught:
        team.create_environment(name=NAME)
    assert re.findall(r"\[FAIL\] ([^:]+):", str(caught.value)) == failed(local)
    loose = TEAM.replace("lightgbm>=4", "lightgbm<3").replace("labels:\n  com.example.owner:\n", "")
    team.sql("ADMIN", f"ALTER ACCOUNT SET {POLICY} = $${loose}$$")
    local, _ = validate(team)
    assert local["result"] == "pass" and failed(local) == []
    team.create_environment(name=NAME)
    stored = report(team)
    assert stored["policy"] == local["policy"] and stored["image"]["base"]["ref"] == local["image"]["base"]["ref"]
    assert {c["id"]: c["status"] for c in stored["checks"] if not c["id"].startswith("executed_")} == {c["id"]: c["status"] for c in local["checks"]}
    # Another policy leaves environments alone that exist.
    team.sql("ADMIN", f"ALTER ACCOUNT SET {POLICY} = $${TEAM}$$")
    assert team.rows("paula", f"DESCRIBE CUSTOM RUNTIME ENVIRONMENT {NAME}")[0]["cre_status"] == "RESOLVED"


def test_a_bad_policy_is_refused_and_the_one_before_stays(team):
    before = shown(team)
    for text, says in {"version: 1\npackages:\n  forbidde: [x]\n": "line 3, packages.forbidde", "nope": 'policy "nope" does not exist'}.items():
        with pytest.raises(ProgrammingError, match=re.escape(says)):
            team.sql("ADMIN", f"ALTER ACCOUNT SET {POLICY} = $${text}$$")
    assert shown(team) == before
    with pytest.raises(ProgrammingError) as caught:
        team.sql("paula", f"ALTER ACCOUNT UNSET {POLICY}")
    assert caught.value.errno == 3001
    assert shown(team) == before


def test_a_policy_may_come_from_a_file_through_a_placeholder(team):
    with team.connect("ADMIN", paramstyle="qmark") as connection:
        connection.cursor().execute(f"ALTER ACCOUNT SET {POLICY} = ?", ["version: 1\nname: bound\n"])
    assert shown(team)["value"].startswith("bound (sha256 ")
    team.sql("ADMIN", f"ALTER ACCOUNT SET {POLICY} = 'snow-cli'")
    assert shown(team)["value"].startswith("snow-cli (sha256 ")


def test_offline_the_server_is_believed_as_it_was(team, server):
    now, _ = validate(team)
    offline, said = validate(team, "--offline", SNOWFLAKE_PASSWORD="")
    assert re.search(r"said less than a minute ago: policy team-ml", said)
    strip = lambda r: {k: v for k, v in r.items() if k != "timing"}
    assert strip(offline) == strip(now)
    assert [c["status"] for c in offline["checks"] if c["id"] == "lineage"] == ["pass"]
    server.stop()
    try:
        unreachable, said = validate(team)
        assert "does not answer" in said and "ago: policy team-ml" in said
        assert strip(unreachable) == strip(now)
    finally:
        server.start()
    wrong = firn(team, "validate", "--server", f"http://{team.host}", "docker-daemon:firn-e2e/churn:v1", SNOWFLAKE_PASSWORD="wrong")
    assert wrong.returncode == 4 and "Incorrect username or password" in wrong.stderr and wrong.stdout == ""


def advisory(directory, package: str):
    directory.mkdir(exist_ok=True)
    (directory / "1.json").write_text(json.dumps({
        "id": "PYSEC-2031-1", "modified": "2031-01-01T00:00:00Z",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [{"package": {"ecosystem": "PyPI", "name": package}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]}))
    return directory


def test_the_operators_advisories_are_looked_up(pushed, server, tmp_path):
    file = tmp_path / "advisories.db"
    load = lambda package: pushed.run(BIN / "firn", "db", "import", "--out", file, advisory(tmp_path / "osv", package))
    load("imbalanced-learn")
    assert server.stop() == 0
    flags, server.flags = server.flags, (*server.flags, "--vulnerability-db", str(file))
    server.start()
    try:
        pushed.create_environment(name=NAME)  # advisory: a warning
        scan = report(pushed)["vulnerabilities"]
        assert scan["counts"]["critical"] == 1 and [(f["name"], f["owner"]) for f in scan["findings"]] == [("imbalanced-learn", "user")]
        pushed.sql("ADMIN", f"ALTER ACCOUNT SET {POLICY} = $$version: 1\nname: strict\nvulnerabilities:\n  fail_on: high\n$$")
        with pytest.raises(ProgrammingError, match=r"vulnerability_scan: 1 of severity high or worse: critical PYSEC-2031-1 in imbalanced-learn"):
            pushed.create_environment(name=NAME)
        local, _ = validate(pushed, "--scan-vulnerabilities", "--db", str(file))
        assert failed(local) == ["vulnerability_scan"]
        local, _ = validate(pushed)  # no scan is no pass
        assert failed(local) == ["vulnerability_scan"]
        load("snowflake-ml-python")  # a new file counts without a restart; what the base image brings is the base's
        with pytest.raises(ProgrammingError, match=r"PYSEC-2031-1 in snowflake-ml-python"):
            pushed.create_environment(name=NAME)
        load("nothing-here")
        pushed.create_environment(name=NAME)
        assert report(pushed)["vulnerabilities"]["findings"] == []
    finally:
        clean(pushed)
        server.stop()
        server.flags = flags
        server.start()


def test_a_missing_database_is_told_at_the_start(tmp_path):
    done = subprocess.run([BIN / "firnd", "serve", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0", "--compute", "none",
                           "--vulnerability-db", tmp_path / "none.db"], env=os.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode != 0 and "none.db cannot be opened: make it with firn db import" in done.stderr


def test_the_example_policy_is_one(pushed):
    text = (ROOT / "examples/policy/team.yaml").read_text()
    with pushed.connect("ADMIN", paramstyle="qmark") as connection:
        connection.cursor().execute(f"ALTER ACCOUNT SET {POLICY} = ?", [text])
    try:
        assert shown(pushed)["value"].startswith("team-ml (sha256 ")
    finally:
        pushed.sql("ADMIN", f"ALTER ACCOUNT UNSET {POLICY}")
