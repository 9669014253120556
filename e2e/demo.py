# SPDX-License-Identifier: Apache-2.0
"""Walks the whole line and says what happens: demo.py HOST:PORT PASSWORD_FILE WORK BASE_TAG"""
import pathlib
import sys
import time

import snowflake.connector.errors

from line import PATH, Failed, Line

begun = time.monotonic()


class Step:
    """Prints a step with its time when it is done."""

    def __init__(self, title: str):
        self.title = title

    def __enter__(self):
        self.start = time.monotonic()
        self.notes = []
        print(f"\n▸ {self.title}", flush=True)
        return self

    def note(self, text: str):
        for line in str(text).strip().splitlines():
            print(f"    {line}", flush=True)

    def __exit__(self, kind, *_):
        print(f"  {'✗' if kind else '✓'} {time.monotonic() - self.start:.1f} s", flush=True)


def refused(step: Step, what: str, act):
    """Shows the refusal of something that must be refused."""
    try:
        act()
    except (snowflake.connector.errors.Error, Failed, Exception) as error:
        step.note(f"{what}:")
        step.note("  " + str(getattr(error, "raw_msg", None) or error).replace("\n", "\n  "))
    else:
        sys.exit(f"{what}: this should have been refused")


def main(host: str, password_file: str, work: str, base_tag: str):
    line = Line(host, pathlib.Path(password_file).read_text().strip(), pathlib.Path(work), base_tag)

    with Step("An administrator sets the account up: roles, users, repository, stage, pool, warehouse, grants") as step:
        line.set_up()
        step.note("platform_engineer (user paula) registers images; data_scientist (user dan) uses them")

    with Step("docker and snow log in to the registry; the base image is pulled") as step:
        step.note(line.snow_login("paula"))
        line.docker_login("paula")
        step.note(line.pull_base())

    with Step("examples/churn/Dockerfile is built on the base, and validated by snow and by firn") as step:
        line.build("churn", "firn-demo/churn:v1")
        step.note(line.validate("firn-demo/churn:v1").strip().splitlines()[-3:][0])
        report = line.firn_validate("firn-demo/churn:v1")
        step.note(f"firn validate: {report['summary']['pass']} passed, {report['summary']['fail']} failed, "
                  f"ready for {', '.join(report['ready_for'])}")

    with Step(f"docker push {host}{PATH}/churn:v1") as step:
        step.note(line.push("firn-demo/churn:v1", "churn:v1").strip().splitlines()[-1])

    with Step("CREATE CUSTOM RUNTIME ENVIRONMENT churn_env: checked on its stored layers, then run") as step:
        step.note(line.create_environment()[0][0])
        row = line.rows("paula", "DESCRIBE CUSTOM RUNTIME ENVIRONMENT churn_env")[0]
        step.note(f"{row['cre_status']} {row['image']} {row['digest']}")

    session = line.job_session()
    with Step("Without USAGE a data scientist does not even see it") as step:
        refused(step, "@remote(runtime_environment='cre@churn_env')", lambda: line.remote(session))
        line.sql("paula", "GRANT USAGE ON CUSTOM RUNTIME ENVIRONMENT churn_env TO ROLE data_scientist")

    with Step("@jobs.remote trains LightGBM in that image, on data that ships with scikit-learn") as step:
        job = line.remote(session)
        status = job.wait()
        step.note(f"{job.id}: {status}")
        step.note(job.get_logs())
        step.note(f"result: {job.result()}")

    with Step("jobs.submit_file runs examples/churn/train.py in it") as step:
        job = line.submit_file(session)
        step.note(f"{job.id}: {job.wait()}")
        step.note(job.get_logs())

    with Step("A deprecated environment takes no new work") as step:
        line.sql("paula", "ALTER CUSTOM RUNTIME ENVIRONMENT churn_env SET CRE_STATUS = DEPRECATED")
        refused(step, "@remote", lambda: line.remote(session))
        line.sql("paula", "ALTER CUSTOM RUNTIME ENVIRONMENT churn_env SET CRE_STATUS = RESOLVED")

    with Step("A tag that moved takes no new work: what was registered is what runs") as step:
        line.build("broken", "firn-demo/broken:v1")
        line.push("firn-demo/broken:v1", "churn:v1")
        refused(step, "@remote", lambda: line.remote(session))

    with Step("An unfit image is not registered, and the reasons are told") as step:
        refused(step, "CREATE", lambda: line.create_environment("churn:v1", "broken_env"))
        step.note(f"environments named broken_env: {len(line.rows('paula', 'SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE $$broken_env$$'))}")

    with Step("The good image comes back; the environment is made anew; DROP leaves the image") as step:
        line.push("firn-demo/churn:v1", "churn:v1")
        step.note(line.create_environment(name="short_lived")[0][0])
        step.note(line.sql("paula", "DROP CUSTOM RUNTIME ENVIRONMENT short_lived")[0][0])
        step.note(line.sql("paula", "DROP CUSTOM RUNTIME ENVIRONMENT IF EXISTS short_lived")[0][0])
        images = line.rows("paula", "SHOW IMAGES IN IMAGE REPOSITORY ml.churn.images")
        step.note(f"images in the repository: {', '.join(i['image_path'] for i in images)}")
    session.close()

    print(f"\nThe whole line took {time.monotonic() - begun:.0f} s.")


if __name__ == "__main__":
    main(*sys.argv[1:])
