# SPDX-License-Identifier: Apache-2.0
"""The whole line with the real clients, one method a step: `make demo` prints the steps, the tests look at what they give.

A Line talks to a server that runs. It keeps every client's configuration in a directory of its own, so that nothing of the
person who runs it is touched.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import snowflake.connector

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATH = "/ml/churn/images"
BASE = "/snowflake/images/snowflake_images/container_runtime/cpu_x86_64"

ACCOUNT_SQL = """
CREATE ROLE IF NOT EXISTS platform_engineer;
CREATE ROLE IF NOT EXISTS data_scientist;
CREATE OR REPLACE USER paula PASSWORD = '{paula}' DEFAULT_ROLE = platform_engineer;
CREATE OR REPLACE USER dan PASSWORD = '{dan}' DEFAULT_ROLE = data_scientist DEFAULT_WAREHOUSE = ml_wh DEFAULT_NAMESPACE = 'ML.CHURN';
GRANT ROLE platform_engineer TO USER paula;
GRANT ROLE data_scientist TO USER dan;
CREATE DATABASE IF NOT EXISTS ml;
CREATE SCHEMA IF NOT EXISTS ml.churn;
CREATE IMAGE REPOSITORY IF NOT EXISTS ml.churn.images;
CREATE STAGE IF NOT EXISTS ml.churn.payload ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE');
CREATE COMPUTE POOL IF NOT EXISTS ml_pool MIN_NODES = 1 MAX_NODES = 2 INSTANCE_FAMILY = CPU_X64_S;
CREATE WAREHOUSE IF NOT EXISTS ml_wh;
GRANT CREATE CUSTOM RUNTIME ENVIRONMENT ON ACCOUNT TO ROLE platform_engineer;
GRANT USAGE ON DATABASE ml TO ROLE platform_engineer;
GRANT USAGE ON SCHEMA ml.churn TO ROLE platform_engineer;
GRANT READ, WRITE ON IMAGE REPOSITORY ml.churn.images TO ROLE platform_engineer;
GRANT USAGE ON DATABASE ml TO ROLE data_scientist;
GRANT USAGE ON SCHEMA ml.churn TO ROLE data_scientist;
GRANT CREATE SERVICE ON SCHEMA ml.churn TO ROLE data_scientist;
GRANT READ ON IMAGE REPOSITORY ml.churn.images TO ROLE data_scientist;
GRANT READ, WRITE ON STAGE ml.churn.payload TO ROLE data_scientist;
GRANT USAGE, MONITOR ON COMPUTE POOL ml_pool TO ROLE data_scientist;
GRANT USAGE ON WAREHOUSE ml_wh TO ROLE data_scientist;
"""


class Failed(Exception):
    """A client ended with an error. Its text is the client's whole output."""


class Line:
    """One walk. host is HOST:PORT of the server, work a directory that the walk may fill."""

    def __init__(self, host: str, password: str, work: pathlib.Path, base_tag: str):
        self.host, self.password, self.work, self.base_tag = host, password, work, base_tag
        self.passwords = {"ADMIN": password, "paula": "paula-" + os.urandom(9).hex(), "dan": "dan-" + os.urandom(9).hex()}
        self.env = dict(os.environ, DOCKER_CONFIG=str(work / "docker"), SNOWFLAKE_HOME=str(work / "snow"),
                        SNOWFLAKE_DISABLE_PLATFORM_DETECTION="true", NO_PROXY="127.0.0.1,localhost", SF_DISABLE_MINICORE="true")
        os.environ.update(self.env)
        for directory in (work / "docker", work / "snow"):
            directory.mkdir(parents=True, exist_ok=True)
        self._write_connections()

    # -- clients

    def run(self, *args, input=None, env: dict | None = None) -> str:
        """Runs a client and gives its output, both streams in one."""
        done = subprocess.run([str(a) for a in args], env=env or self.env, cwd=ROOT, text=True, input=input,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Failed(done.stdout)
        return done.stdout

    @property
    def snow(self) -> str:
        return str(pathlib.Path(sys.executable).parent / "snow")

    def _write_connections(self):
        host, port = self.host.split(":")
        text = ""
        for user in ("ADMIN", "paula", "dan"):
            text += textwrap.dedent(f"""\
                [{user.lower()}]
                account = "firn"
                host = "{host}"
                port = {port}
                protocol = "http"
                user = "{user}"
                password = "{self.passwords[user]}"
                """)
        file = self.work / "snow" / "connections.toml"
        file.write_text(text)
        file.chmod(0o600)

    def connect(self, user: str, **settings):
        """Opens a session with the Python connector."""
        host, port = self.host.split(":")
        return snowflake.connector.connect(account="firn", host=host, port=int(port), protocol="http", user=user,
                                           password=self.passwords[user], **settings)

    def session(self, user: str, **settings):
        """Opens a Snowpark session, as ML Jobs need one."""
        from snowflake.snowpark import Session

        host, port = self.host.split(":")
        return Session.builder.configs({"account": "firn", "host": host, "port": int(port), "protocol": "http", "user": user,
                                        "password": self.passwords[user], **settings}).create()

    def sql(self, user: str, text: str, **settings) -> list:
        """Runs statements one after the other in one session and gives the rows of the last."""
        with self.connect(user, **settings) as connection:
            rows = []
            for cursor in connection.execute_string(text):
                rows = cursor.fetchall()
            return rows

    def rows(self, user: str, text: str, **settings) -> list:
        """Runs one statement and gives its rows as dictionaries."""
        with self.connect(user, **settings) as connection:
            return connection.cursor(snowflake.connector.DictCursor).execute(text).fetchall()

    # -- the images

    def docker_login(self, user: str):
        return self.run("docker", "login", self.host, "-u", user, "--password-stdin", input=self.passwords[user])

    def snow_login(self, user: str):
        return self.run(self.snow, "spcs", "image-registry", "login", "-c", user.lower())

    def pull_base(self):
        return self.run("docker", "pull", "-q", f"{self.host}{BASE}:{self.base_tag}")

    def build(self, example: str, name: str) -> str:
        return self.run("docker", "build", "-q", "--platform", "linux/amd64", "--build-arg", f"BASE={self.host}{BASE}:{self.base_tag}",
                        "-t", name, f"examples/{example}")

    def validate(self, name: str) -> str:
        """The shipped validator of the snow command line."""
        return self.run(self.snow, "custom-image", "validate", name)

    def firn_validate(self, name: str) -> dict:
        """Firn's own validator, as JSON."""
        done = subprocess.run([str(ROOT / "bin/firn"), "validate", "--format", "json", name], env=self.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return json.loads(done.stdout)

    def push(self, name: str, tag: str) -> str:
        target = f"{self.host}{PATH}/{tag}"
        self.run("docker", "tag", name, target)
        return self.run("docker", "push", target)

    # -- the account, the environment

    def set_up(self):
        self.sql("ADMIN", ACCOUNT_SQL.format(**self.passwords))

    def create_environment(self, tag: str = "churn:v1", name: str = "churn_env"):
        return self.sql("paula", f"""
            CREATE OR REPLACE CUSTOM RUNTIME ENVIRONMENT {name} IMAGE_PATH = '{PATH}/{tag}' BASE_IMAGE_TYPE = CPU""")

    # -- the jobs

    def job_session(self):
        return self.session("dan", database="ML", schema="CHURN", warehouse="ML_WH", role="DATA_SCIENTIST")

    def remote(self, session, environment: str = "cre@churn_env", trees: int = 60):
        """Trains by @remote and gives the job."""
        from snowflake.ml import jobs

        @jobs.remote("ml_pool", stage_name="payload", runtime_environment=environment, session=session)
        def train(trees):
            import lightgbm
            from sklearn.datasets import load_breast_cancer
            from sklearn.metrics import roc_auc_score
            from sklearn.model_selection import train_test_split

            data = load_breast_cancer()
            train_x, test_x, train_y, test_y = train_test_split(data.data, data.target, test_size=0.25, random_state=7)
            model = lightgbm.LGBMClassifier(n_estimators=trees, n_jobs=2, verbose=-1).fit(train_x, train_y)
            auc = roc_auc_score(test_y, model.predict_proba(test_x)[:, 1])
            print("trained on", len(train_y), "rows")
            return {"auc": round(float(auc), 4), "rows": len(data.target), "lightgbm": lightgbm.__version__}

        return train(trees)

    def submit_file(self, session, environment: str = "cre@churn_env"):
        from snowflake.ml import jobs

        return jobs.submit_file(str(ROOT / "examples/churn/train.py"), "ml_pool", stage_name="payload", args=["--trees", "20"],
                                runtime_environment=environment, session=session)

    def clean_up(self):
        shutil.rmtree(self.work, ignore_errors=True)
