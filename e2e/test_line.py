# SPDX-License-Identifier: Apache-2.0
"""The whole line with the real clients: image, environment, job, and everything that must be refused."""
import re
import time

import pytest
from snowflake.connector.errors import DatabaseError, ProgrammingError

from line import PATH, Failed


def refused(act) -> str:
    with pytest.raises(Exception) as caught:
        act()
    return str(caught.value)


def images(line) -> dict:
    rows = line.rows("paula", "SHOW IMAGES IN IMAGE REPOSITORY ml.churn.images")
    return {(r["image_name"], r["tags"]): r["digest"] for r in rows}


def test_snow_logs_docker_in(line):
    assert "Login Succeeded" in line.snow_login("paula")
    line.docker_login("dan")


def test_a_wrong_password_is_refused_by_every_door(line):
    line.passwords["eve"] = "wrong"
    with pytest.raises(DatabaseError, match="Incorrect username or password"):
        line.connect("eve")
    with pytest.raises(Failed):
        line.run("docker", "login", line.host, "-u", "dan", "--password-stdin", input="wrong")


def test_the_base_passes_the_shipped_validator(pushed):
    out = pushed.validate(f"{pushed.host}/snowflake/images/snowflake_images/container_runtime/cpu_x86_64:{pushed.base_tag}")
    assert "20 passed, 0 failed" in out


def test_the_users_image_passes_both_validators(pushed):
    assert "20 passed, 0 failed" in pushed.validate("firn-e2e/churn:v1")
    report = pushed.firn_validate("firn-e2e/churn:v1")
    assert report["result"] == "pass" and report["summary"]["fail"] == 0
    assert report["ready_for"] == ["ML Jobs", "Notebooks"]


def test_an_unfit_image_fails_both_validators(pushed):
    pushed.build("broken", "firn-e2e/broken:v1")
    with pytest.raises(Failed) as caught:
        pushed.validate("firn-e2e/broken:v1")
    assert "pkg_sqlparse" in str(caught.value)
    report = pushed.firn_validate("firn-e2e/broken:v1")
    assert "pkg_sqlparse" in [c["id"] for c in report["checks"] if c["status"] == "fail"]


def test_pushing_needs_write_and_pulling_needs_read(pushed):
    target = f"{pushed.host}{PATH}/churn:stolen"
    pushed.run("docker", "tag", "firn-e2e/churn:v1", target)
    pushed.docker_login("dan")
    try:
        assert "denied" in refused(lambda: pushed.run("docker", "push", target)).lower()
        pushed.run("docker", "pull", "-q", f"{pushed.host}{PATH}/churn:v1")
    finally:
        pushed.docker_login("paula")
    assert ("churn", "stolen") not in images(pushed)


def test_the_environment_is_resolved_and_pinned(environment):
    row = environment.rows("paula", "DESCRIBE CUSTOM RUNTIME ENVIRONMENT churn_env")[0]
    assert list(row) == ["name", "image_name", "tag", "digest", "created_on", "updated_on", "owner", "cre_status", "base_image_type", "image", "image_status"]
    assert row["cre_status"] == "RESOLVED" and row["owner"] == "PLATFORM_ENGINEER" and row["base_image_type"] == "CPU"
    assert row["digest"] == images(environment)[("churn", "v1")]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", row["digest"])


def test_usage_shows_but_does_not_describe(environment):
    assert [r["name"] for r in environment.rows("dan", "SHOW CUSTOM RUNTIME ENVIRONMENTS")] == ["CHURN_ENV"]
    with pytest.raises(ProgrammingError) as caught:
        environment.rows("dan", "DESCRIBE CUSTOM RUNTIME ENVIRONMENT churn_env")
    assert caught.value.errno == 3001


def test_a_missing_and_a_hidden_environment_look_the_same(environment):
    hidden = refused(lambda: environment.sql("ADMIN", "USE ROLE PUBLIC; DESCRIBE CUSTOM RUNTIME ENVIRONMENT churn_env"))
    missing = refused(lambda: environment.sql("ADMIN", "USE ROLE PUBLIC; DESCRIBE CUSTOM RUNTIME ENVIRONMENT no_such_env"))
    strip = lambda text: re.sub(r"[0-9a-f-]{36}", "", text).replace("NO_SUCH_ENV", "X").replace("CHURN_ENV", "X")
    assert strip(hidden) == strip(missing)
    assert "002003" in hidden


def test_remote_trains_in_the_image(environment, job_session):
    job = environment.remote(job_session)
    assert job.status in ("PENDING", "RUNNING", "DONE")
    assert job.wait(timeout=300) == "DONE", job.get_logs(verbose=True)
    assert "trained on 426 rows" in job.get_logs()
    result = job.result()
    assert result["rows"] == 569 and result["auc"] > 0.97
    assert job.name.startswith("TRAIN_") and job.id.startswith("ML.CHURN.")
    from snowflake.ml import jobs

    assert job.id == jobs.get_job(job.id, session=job_session).id
    listed = jobs.list_jobs(session=job_session)
    assert job.name in list(listed["name"])


def test_submit_file_runs_a_script(environment, job_session):
    job = environment.submit_file(job_session)
    assert job.wait(timeout=300) == "DONE", job.get_logs(verbose=True)
    assert '"auc"' in job.get_logs()


def test_a_failing_payload_is_failed_and_says_why(environment, job_session, tmp_path):
    from snowflake.ml import jobs

    script = tmp_path / "boom.py"
    script.write_text("raise ValueError('no such churn')\n")
    job = jobs.submit_file(str(script), "ml_pool", stage_name="payload", runtime_environment="cre@churn_env", session=job_session)
    assert job.wait(timeout=300) == "FAILED"
    assert "no such churn" in job.get_logs()


def test_a_cancelled_job_ends_in_seconds(environment, job_session, tmp_path):
    from snowflake.ml import jobs

    script = tmp_path / "sleeper.py"
    script.write_text("import time\nprint('asleep', flush=True)\ntime.sleep(600)\n")
    job = jobs.submit_file(str(script), "ml_pool", stage_name="payload", runtime_environment="cre@churn_env", session=job_session)
    job.cancel()
    assert job.wait(timeout=60) == "CANCELLED"


def test_deprecated_blocks_new_jobs(environment, job_session):
    environment.sql("paula", "ALTER CUSTOM RUNTIME ENVIRONMENT churn_env SET CRE_STATUS = DEPRECATED")
    try:
        text = refused(lambda: environment.remote(job_session))
        assert "CHURN_ENV" in text and "DEPRECATED" in text.upper()
    finally:
        environment.sql("paula", "ALTER CUSTOM RUNTIME ENVIRONMENT churn_env SET CRE_STATUS = RESOLVED")


def test_a_moved_tag_blocks_new_jobs(environment, job_session):
    environment.build("broken", "firn-e2e/broken:v1")
    environment.push("firn-e2e/broken:v1", "churn:v1")
    try:
        row = environment.rows("paula", "SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE 'churn_env'")[0]
        assert (row["cre_status"], row["image_status"]) == ("RESOLVED", "DRIFTED")
        (event,) = environment.rows("paula", "SELECT * FROM ml.INFORMATION_SCHEMA.IMAGE_EVENTS "
                                   "WHERE EVENT_KIND = 'DRIFTED' AND ENVIRONMENT_NAME = 'CHURN_ENV'")
        assert event["PREVIOUS_DIGEST"] == row["digest"] != event["DIGEST"]
        text = refused(lambda: environment.remote(job_session))
        assert "recreate" in text.lower() and "sha256:" in text
    finally:
        environment.push("firn-e2e/churn:v1", "churn:v1")
    row = environment.rows("paula", "SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE 'churn_env'")[0]
    assert row["image_status"] == "CURRENT"


def test_without_usage_there_is_no_job(environment, job_session):
    environment.sql("paula", "REVOKE USAGE ON CUSTOM RUNTIME ENVIRONMENT churn_env FROM ROLE data_scientist")
    try:
        assert "CHURN_ENV" in refused(lambda: environment.remote(job_session))
    finally:
        environment.sql("paula", "GRANT USAGE ON CUSTOM RUNTIME ENVIRONMENT churn_env TO ROLE data_scientist")


def test_without_read_on_the_repository_there_is_no_job(environment, job_session):
    environment.sql("ADMIN", "REVOKE READ ON IMAGE REPOSITORY ml.churn.images FROM ROLE data_scientist")
    try:
        assert "images" in refused(lambda: environment.remote(job_session)).lower()
    finally:
        environment.sql("ADMIN", "GRANT READ ON IMAGE REPOSITORY ml.churn.images TO ROLE data_scientist")


def test_an_unfit_image_leaves_no_environment(environment):
    environment.build("broken", "firn-e2e/broken:v1")
    environment.push("firn-e2e/broken:v1", "broken:v1")
    text = refused(lambda: environment.create_environment("broken:v1", "broken_env"))
    assert "pkg_sqlparse" in text and "dependency_health" in text and "fix:" in text
    assert environment.rows("paula", "SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE 'broken_env'") == []


def test_an_image_that_was_never_pushed_is_named(environment):
    assert "nothing:v9" in refused(lambda: environment.create_environment("nothing:v9", "nothing_env"))


def test_drop_leaves_the_image_and_if_exists_forgives(environment):
    environment.create_environment(name="short_lived")
    before = images(environment)
    assert "successfully dropped" in environment.sql("paula", "DROP CUSTOM RUNTIME ENVIRONMENT short_lived")[0][0]
    assert images(environment) == before
    assert "already dropped" in environment.sql("paula", "DROP CUSTOM RUNTIME ENVIRONMENT IF EXISTS short_lived")[0][0]
    with pytest.raises(ProgrammingError) as caught:
        environment.sql("paula", "DROP CUSTOM RUNTIME ENVIRONMENT short_lived")
    assert caught.value.errno == 2003


def test_a_kill_in_mid_job_changes_nothing(environment, server, tmp_path):
    from snowflake.ml import jobs

    session = environment.job_session()
    script = tmp_path / "survivor.py"
    script.write_text("import time\nfor i in range(15):\n    print('tick', i, flush=True)\n    time.sleep(1)\nprint('survived')\n")
    job = jobs.submit_file(str(script), "ml_pool", stage_name="payload", runtime_environment="cre@churn_env", session=session)
    deadline = time.monotonic() + 240
    while "tick 1" not in job.get_logs(verbose=True) and time.monotonic() < deadline:
        time.sleep(0.5)
    server.kill()
    server.start()
    assert job.wait(timeout=300) == "DONE", job.get_logs(verbose=True)
    logs = job.get_logs(verbose=True)
    assert [f"tick {i}" in logs for i in range(15)] == [True] * 15 and "survived" in logs
    session.close()
