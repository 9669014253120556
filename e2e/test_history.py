# SPDX-License-Identifier: Apache-2.0
"""The past of an environment: the tag that drifts, the history, the way back, and what it keeps from being deleted."""
import datetime
import json
import time

import pytest
from snowflake.connector.errors import ProgrammingError

from line import PATH, Failed
from need import tool

NAME, HOLD, JOB_HOLD = "history_env", "RUNTIME_ENVIRONMENT_HISTORY_RETENTION_TIME_IN_DAYS", "JOB_IMAGE_RETENTION_TIME_IN_DAYS"


def shown(line) -> dict:
    (row,) = line.rows("paula", f"SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE '{NAME}'")
    (described,) = line.rows("paula", f"DESCRIBE CUSTOM RUNTIME ENVIRONMENT {NAME}")
    assert described == row
    return row


def history(line, user="paula") -> list:
    return line.rows(user, f"SELECT * FROM ml.INFORMATION_SCHEMA.CUSTOM_RUNTIME_ENVIRONMENT_HISTORY WHERE ENVIRONMENT_NAME = '{NAME.upper()}'")


def delete(line, digest: str) -> str:
    return line.run(tool("crane"), "delete", "--insecure", f"{line.host}{PATH}/history@{digest}")


@pytest.fixture(scope="module")
def moved(pushed):
    """An environment whose tag has moved to another image; gives what it was registered with."""
    pushed.docker_login("paula")
    pushed.push("firn-e2e/churn:v1", "history:v1")
    pushed.create_environment("history:v1", NAME)
    before = shown(pushed)
    pushed.run("docker", "build", "-q", "-t", "firn-e2e/history:v2", "-", input="FROM firn-e2e/churn:v1\nLABEL round=two\n")
    pushed.push("firn-e2e/history:v2", "history:v1")
    yield before
    pushed.sql("ADMIN", f"ALTER ACCOUNT UNSET {HOLD}, {JOB_HOLD}")
    pushed.sql("paula", f"DROP CUSTOM RUNTIME ENVIRONMENT IF EXISTS {NAME}")


def test_a_moved_tag_is_drift_within_five_seconds(pushed, moved):
    pushed.push("firn-e2e/churn:v1", "history:v1")
    assert shown(pushed)["image_status"] == "CURRENT"
    pushed.push("firn-e2e/history:v2", "history:v1")
    answered = time.monotonic()
    row = shown(pushed)
    events = pushed.rows("paula", "SELECT * FROM ml.INFORMATION_SCHEMA.IMAGE_EVENTS WHERE EVENT_KIND = 'DRIFTED' "
                                  f"AND ENVIRONMENT_NAME = '{NAME.upper()}'")
    assert time.monotonic() - answered < 5
    assert (row["image_status"], row["cre_status"], row["digest"]) == ("DRIFTED", "RESOLVED", moved["digest"])
    assert len(events) == 2 and events[0]["DIGEST"] != moved["digest"] == events[0]["PREVIOUS_DIGEST"]
    assert history(pushed) == []


def test_what_was_replaced_is_in_the_history(pushed, moved):
    pushed.create_environment("history:v1", NAME)
    now, (entry,) = shown(pushed), history(pushed)
    assert now["digest"] != moved["digest"] == entry["DIGEST"]
    assert (entry["IMAGE_PATH"], entry["VERDICT"], entry["END_REASON"]) == (f"{PATH}/history:v1", "pass", "REPLACED")
    assert (entry["USER_NAME"], entry["ROLE_NAME"], entry["OWNER"]) == ("PAULA", "PLATFORM_ENGINEER", "PLATFORM_ENGINEER")
    assert (entry["START_TIME"], entry["END_TIME"]) == (moved["created_on"], now["created_on"])
    assert entry["POLICY"].startswith("default (sha256 ") and (entry["HELD_UNTIL"] - entry["END_TIME"]).days == 30
    assert entry["PINNED_IMAGE_PATH"] == f"{PATH}/history@{moved['digest']}"
    assert history(pushed, "dan") == []  # who may not see the environment


def test_the_history_refuses_the_deletion(pushed, moved):
    (entry,) = history(pushed)
    until = entry["HELD_UNTIL"].astimezone(datetime.timezone.utc)
    with pytest.raises(Failed, match=f"DENIED: .* in use by history of environment {NAME.upper()} until {until:%Y-%m-%d %H:%M} UTC"):
        delete(pushed, moved["digest"])


def test_an_old_digest_is_the_way_back(pushed, moved, job_session):
    (entry,) = history(pushed)
    pushed.sql("paula", f"CREATE OR REPLACE CUSTOM RUNTIME ENVIRONMENT {NAME} IMAGE_PATH = '{entry['PINNED_IMAGE_PATH']}' "
                        f"BASE_IMAGE_TYPE = {entry['BASE_IMAGE_TYPE']}")
    row = shown(pushed)
    assert (row["digest"], row["image_status"], row["tag"]) == (moved["digest"], "CURRENT", None)
    verdict = json.loads(pushed.sql("paula", f"SELECT SYSTEM$GET_RUNTIME_ENVIRONMENT_REPORT('{NAME}')")[0][0])
    assert verdict["result"] == "pass"
    pushed.sql("paula", f"GRANT USAGE ON CUSTOM RUNTIME ENVIRONMENT {NAME} TO ROLE data_scientist")
    job = pushed.remote(job_session, f"cre@{NAME}")
    assert job.result()["rows"] == 569
    assert len(history(pushed, "dan")) == 2  # USAGE shows the past of what it is on


def test_the_account_says_for_how_long(pushed, moved):
    pushed.sql("paula", f"DROP CUSTOM RUNTIME ENVIRONMENT {NAME}")
    ended, second, _ = history(pushed)
    assert (ended["END_REASON"], ended["DIGEST"]) == ("DROPPED", moved["digest"])
    assert second["PINNED_IMAGE_PATH"] == f"{PATH}/history@{second['DIGEST']}"
    with pytest.raises(ProgrammingError, match="from 0 to 3650"):
        pushed.sql("ADMIN", f"ALTER ACCOUNT SET {HOLD} = 9999")
    pushed.sql("ADMIN", f"ALTER ACCOUNT SET {HOLD} = 0")
    for digest in (moved["digest"], second["DIGEST"]):  # the executed checks were jobs too
        with pytest.raises(Failed, match="job .* until 7 days after its end") as refusal:
            delete(pushed, digest)
        assert "history of" not in str(refusal.value)
    pushed.sql("ADMIN", f"ALTER ACCOUNT SET {JOB_HOLD} = 0")
    delete(pushed, second["DIGEST"])
    ended, second, _ = history(pushed)
    assert (ended["PINNED_IMAGE_PATH"], second["PINNED_IMAGE_PATH"]) == (f"{PATH}/history@{moved['digest']}", None)
    (row,) = pushed.rows("ADMIN", f"SHOW PARAMETERS LIKE '{HOLD}' IN ACCOUNT")
    assert (row["value"], row["default"], row["level"]) == ("0", "30", "ACCOUNT")
