# SPDX-License-Identifier: Apache-2.0
"""Two servers on one PostgreSQL and one directory of blobs: what one has begun the other ends, and each does without the other."""
import concurrent.futures
import glob
import hashlib
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
import uuid

import pytest
import requests
from snowflake.connector.errors import Error, ProgrammingError

import need
from conftest import Server
from engine import docker, job, job_log, set_up, submit, wait_until


def psql(database: str, text: str) -> str:
    program = sorted(glob.glob("/usr/lib/postgresql/*/bin/psql"))[-1]
    return subprocess.run([program, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text, database], check=True, text=True, stdout=subprocess.PIPE).stdout


class Replica(Server):
    """A server that shares database and blobs. The password of ADMIN is in the file of whichever made the account."""

    first: Server

    def password(self) -> str:
        return Server.password(self.first)


class Replicas:
    def __init__(self, directory):
        self.directory, self.all = directory, []
        self.name, self.postgres = "firn_e2e_" + uuid.uuid4().hex, need.variable("FIRN_TEST_POSTGRES")
        psql(self.postgres, f"CREATE DATABASE {self.name}")
        self.database = urllib.parse.urlsplit(self.postgres)._replace(path="/" + self.name).geturl()

    def add(self, *flags: str) -> Replica:
        replica = Replica(self.directory / f"firnd{len(self.all)}", "--database", self.database, "--blobs", f"dir:{self.directory}/blobs", *flags)
        self.all.append(replica)
        return replica

    def start(self, *flags: str) -> Replica:
        replica = self.add(*flags)
        replica.start()
        replica.first = self.all[0]
        return replica

    def end(self):
        """Stops all, whatever state they are in, and removes what they have."""
        try:
            for replica in self.all:
                if replica.process is not None and replica.process.poll() is None:
                    replica.process.send_signal(signal.SIGCONT)
                    assert replica.stop() == 0, replica.log()[-3000:]
                assert "panic" not in replica.log(), replica.log()[-3000:]
        finally:
            psql(self.postgres, f"DROP DATABASE {self.name} WITH (FORCE)")
            for replica in self.all:
                label = "label=dev.firn.install=" + (replica.data / "worker").read_text().strip()
                for kind in ("container", "network"):
                    names = docker(kind, "ls", "-q", *(["-a"] if kind == "container" else []), "--filter", label).split()
                    if names:
                        docker(kind, "rm", *(["-f"] if kind == "container" else []), *names)


@pytest.fixture
def replicas(tmp_path):
    r = Replicas(tmp_path)
    yield r
    r.end()


def token(connection) -> dict:
    """What a client sends that goes on with a session of another server."""
    return {"Authorization": f'Snowflake Token="{connection.rest.token}"', "Accept": "application/json", "User-Agent": "test/1.0"}


def ask(replica, connection, text: str, **more) -> dict:
    """Runs a statement of the connection's session at a server."""
    url = f"http://{replica.host}/queries/v1/query-request?requestId={uuid.uuid4()}"
    return requests.post(url, json={"sqlText": text, "sequenceId": 1, **more}, headers=token(connection), timeout=60).json()


def test_both_start_at_once_on_an_empty_database(replicas):
    both = [replicas.add("--compute", "none") for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [pool.submit(r.start) for r in both]:
            done.result()
    makers = [r for r in both if (r.data / "admin-password").exists()]
    assert len(makers) == 1
    for r in both:
        r.first = makers[0]
        assert r.rows("SELECT CURRENT_ROLE() AS r")[0]["R"] == "ACCOUNTADMIN"
        assert ("the password of ADMIN is in a file" in r.log()) == (r is makers[0])
    assert psql(replicas.database, "SELECT count(*) FROM node") == "4\n"
    for r in both[:3]:
        assert r.stop() == 0
    assert psql(replicas.database, "SELECT url FROM node") == f"http://{both[3].host}\n"


def test_a_session_and_its_statements_go_on_at_the_other(replicas):
    a, b = (replicas.start("--compute", "none") for _ in range(2))
    with a.connect() as connection:
        connection.cursor().execute("CREATE DATABASE ml")
        connection.cursor().execute("USE DATABASE ml")
        connection.cursor().execute("SET x = 7")
        assert ask(b, connection, "SELECT CURRENT_DATABASE(), $x")["data"]["rowset"] == [["ML", "7"]]
        assert ask(b, connection, "CREATE SCHEMA other")["success"] and ask(b, connection, "USE SCHEMA other")["success"]
        assert connection.cursor().execute("SELECT CURRENT_SCHEMA()").fetchone() == ("OTHER",)
        # The result of one is fetched at the other, while it runs, when it has ended, and by RESULT_SCAN.
        cursor = connection.cursor()
        cursor.execute_async("SELECT SYSTEM$WAIT(2), 'late'")
        url = f"http://{b.host}/queries/{cursor.sfqid}/result"
        answer = wait_until(lambda: (r := requests.get(url, headers=token(connection), timeout=60).json())["success"]
                            and r["data"].get("rowset") and r, what="the result")
        assert answer["data"]["rowset"][0][1] == "late"
        assert ask(b, connection, f"SELECT * FROM TABLE(RESULT_SCAN('{cursor.sfqid}'))")["data"]["rowset"][0][1] == "late"
        # A repeated request runs once, wherever it is repeated.
        request = uuid.uuid4()
        made = [requests.post(f"http://{r.host}/queries/v1/query-request?requestId={request}", json={"sqlText": "CREATE SCHEMA once", "sequenceId": 1},
                              headers=token(connection), timeout=60).json() for r in (a, b)]
        assert [m["success"] for m in made] == [True, True] and made[0]["data"]["queryId"] == made[1]["data"]["queryId"]
        # What runs at one is cancelled at the other.
        cursor.execute_async("SELECT SYSTEM$WAIT(600)")
        wait_until(lambda: "terminated" in str(ask(b, connection, f"SELECT SYSTEM$CANCEL_QUERY('{cursor.sfqid}')")["data"]["rowset"]), what="the cancel")
        with pytest.raises(ProgrammingError) as caught:
            connection.cursor().get_results_from_sfqid(cursor.sfqid)
            wait_until(lambda: not connection.is_still_running(connection.get_query_status_throw_if_error(cursor.sfqid)), what="the end")
        assert "cancel" in str(caught.value).lower()
        # A session that is closed at one is closed at the other.
        headers = token(connection)
    answer = requests.post(f"http://{b.host}/queries/v1/query-request?requestId={uuid.uuid4()}", json={"sqlText": "SELECT 1"}, headers=headers, timeout=60).json()
    assert not answer["success"] and answer["code"] in ("390104", "390111", "390112"), answer


def test_a_push_begun_at_one_is_ended_at_the_other(replicas):
    a, b = (replicas.start("--compute", "none") for _ in range(2))
    for text in ("CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images"):
        a.rows(text)
    content = os.urandom(3 << 20)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    with requests.Session() as http:
        http.auth = ("ADMIN", a.password())
        begun = http.post(f"http://{a.host}/v2/ml/t/images/i/blobs/uploads/")
        path = urllib.parse.urlsplit(begun.headers["Location"])._replace(scheme="", netloc="").geturl()
        for n, at in enumerate((a, b, a)):
            part = content[n << 20:n + 1 << 20]
            headers = {"Content-Range": f"{n << 20}-{(n + 1 << 20) - 1}", "Content-Type": "application/octet-stream"}
            answer = http.patch(f"http://{at.host}{path}", data=part, headers=headers)
            assert answer.status_code == 202, answer.text
            path = urllib.parse.urlsplit(answer.headers["Location"])._replace(scheme="", netloc="").geturl()
        done = http.put(f"http://{b.host}{path}{'&' if '?' in path else '?'}digest={digest}")
        assert done.status_code == 201, done.text
        for at in (a, b):
            assert http.get(f"http://{at.host}/v2/ml/t/images/i/blobs/{digest}").content == content


def test_a_job_is_seen_logged_and_cancelled_at_the_other(replicas, tmp_path):
    a = replicas.start()
    b = replicas.start("--compute", "none")
    set_up(b, tmp_path)  # pushed at one, pulled from the other
    with b.connect() as connection:
        submit(connection, "short", "echo here; echo there > /files/x", volume=True)
        wait_until(lambda: job(a, "short")["status"] == "DONE", what="the job")
        assert job_log(a, "short") == job_log(b, "short") == "here"
        assert [r["name"] for r in b.rows("LIST @ml.t.files")] == ["files/x"]
    with a.connect() as connection:
        submit(connection, "long", "echo begun; sleep 600")
    wait_until(lambda: job(b, "long")["status"] == "RUNNING" and "begun" in job_log(a, "long"), what="the job")
    with pytest.raises(Error, match=f"runs on http://{a.host}: ask there"):
        job_log(b, "long")
    b.rows("CALL ml.t.long!spcs_cancel_job()")
    wait_until(lambda: job(a, "long")["status"] == "CANCELLED", what="the cancel")
    assert job_log(b, "long") == "begun"


def writes(replica, acknowledged: list, stop: threading.Event) -> None:
    """Makes stages one after the other until the server is gone."""
    try:
        with replica.connect(network_timeout=5) as connection:
            while not stop.is_set():
                name = "W" + uuid.uuid4().hex.upper()
                connection.cursor().execute(f"CREATE STAGE ml.t.{name}")
                acknowledged.append(name)
    except Error:
        assert not stop.is_set()


def test_one_is_killed_while_the_other_works(replicas, tmp_path):
    a = replicas.start()
    set_up(a, tmp_path)
    with a.connect() as connection:
        submit(connection, "ran", "echo begun; sleep 600")
        wait_until(lambda: job(a, "ran")["status"] == "RUNNING", what="the job")
        a.rows("ALTER COMPUTE POOL pool SET MAX_NODES = 1")
        submit(connection, "waits", "echo at last")  # claimed by the first, as there is no other
        wait_until(lambda: psql(replicas.database, "SELECT count(*) FROM job WHERE name = 'WAITS' AND worker <> ''") == "1\n", what="the claim")
    assert job(a, "waits")["status"] == "PENDING"
    b = replicas.start()
    waiting = a.connect()
    cursor = waiting.cursor()
    cursor.execute_async("SELECT SYSTEM$WAIT(600)")
    headers = token(waiting)
    by_a, by_b, stop = [], [], threading.Event()
    threads = [threading.Thread(target=writes, args=(a, by_a, stop)), threading.Thread(target=writes, args=(b, by_b, stop))]
    for t in threads:
        t.start()
    wait_until(lambda: len(by_a) > 20 and len(by_b) > 20 and cursor.sfqid in psql(replicas.database, "SELECT id FROM statement WHERE status = 'RUNNING'"),
               what="writes")
    a.process.kill()
    a.process.wait()
    killed = time.monotonic()
    threads[0].join()
    before = len(by_b)
    wait_until(lambda: len(by_b) > before + 20, what="the other to go on")
    # What a took on and could not end: in half a minute the other ends it, and does what nobody had begun.
    wait_until(lambda: job(b, "ran")["status"] == "INTERNAL_ERROR", what="the end of the job that is out of reach")
    wait_until(lambda: job(b, "waits")["status"] == "DONE", what="the job that waited")
    assert job_log(b, "waits") == "at last"
    wait_until(lambda: "FAILED_WITH_ERROR" in psql(replicas.database, f"SELECT status FROM statement WHERE id = '{cursor.sfqid}'"), what="the statement")
    answer = requests.get(f"http://{b.host}/queries/{cursor.sfqid}/result", headers=headers, timeout=60).json()
    assert not answer["success"] and "before you run it again" in answer["message"]
    assert time.monotonic() - killed < 60
    stop.set()
    threads[1].join()
    waiting.close = lambda *_, **__: None  # its server is gone
    there = {r["name"] for r in b.rows("SHOW STAGES IN SCHEMA ml.t")}
    assert set(by_a) | set(by_b) <= there and len(there - set(by_a) - set(by_b) - {"FILES"}) <= 1
    # The killed one comes back and removes what is left of its job.
    label = "label=dev.firn.install=" + (a.data / "worker").read_text().strip()
    assert docker("ps", "-q", "--filter", label)
    a.start()
    wait_until(lambda: not docker("ps", "-aq", "--filter", label), what="the container to be removed")
    assert {r["name"] for r in a.rows("SHOW STAGES IN SCHEMA ml.t")} == there


def test_one_that_stood_still_for_long_stops(replicas):
    a, b = (replicas.start("--compute", "none") for _ in range(2))
    a.process.send_signal(signal.SIGSTOP)
    psql(replicas.database, f"UPDATE node SET seen = seen - 60000000 WHERE url = 'http://{a.host}'")  # as if a minute had passed
    wait_until(lambda: psql(replicas.database, "SELECT url FROM node") == f"http://{b.host}\n", what="the silent one to be given up")
    assert re.search(r'msg="lost servers are given up.*servers=\[' + (a.data / "worker").read_text().strip(), b.log()), b.log()
    a.process.send_signal(signal.SIGCONT)
    assert a.process.wait(timeout=30) == 1
    assert a.log().splitlines()[-1].startswith("firnd: another server of this database has given this one up, which gave no sign of life for 30s"), a.log()
    a.start()
    assert psql(replicas.database, "SELECT count(*) FROM node") == "2\n"
