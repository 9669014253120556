# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around the server: an engine that is not there, full disks, locks, broken transfers. Each is told in words that name
the object, the reason and the next step, and nothing that was acknowledged is lost."""
import os
import socket
import sqlite3
import subprocess
import threading
import time
import uuid

import pytest
import requests
from snowflake.connector.errors import Error, ProgrammingError

from conftest import BIN, Server
from engine import Engine, as_root, docker, job, job_log, large_image, push, set_up, small_image, submit, wait_until


def ready(server) -> tuple:
    answer = requests.get(f"http://{server.host}/readyz", timeout=10)
    return answer.status_code, answer.text


def refused(act) -> str:
    with pytest.raises(Exception) as caught:
        act()
    return str(caught.value)


@pytest.fixture
def started(tmp_path):
    """A function that starts a server, which is stopped in the end and must not have panicked."""
    servers = []

    def start(*flags, env=None, directory=tmp_path / "firnd"):
        server = Server(directory, *flags, env=env)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            assert server.stop() == 0, server.log()[-3000:]
        assert "panic" not in server.log(), server.log()[-3000:]


@pytest.fixture
def own_engine(tmp_path_factory, request):
    e = Engine(tmp_path_factory.mktemp("e"), *getattr(request, "param", []))
    yield e
    e.remove()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MB, and a function that makes it larger."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(as_root("mount", "-t", "tmpfs", "-o", f"size=48m,mode=0700,uid={os.getuid()}", "tmpfs", place), check=True)
    yield place, lambda size: subprocess.run(as_root("mount", "-o", f"remount,size={size}", place), check=True)
    subprocess.run(as_root("umount", "-l", place), check=True)


def test_without_an_engine_everything_else_works_and_jobs_wait(started, own_engine, tmp_path):
    server = started(env={"DOCKER_HOST": own_engine.host})
    set_up(server, tmp_path)
    status, text = ready(server)
    assert status == 503 and "database: ok" in text and f"compute: docker engine does not answer at {own_engine.socket}: start it" in text
    with server.connect() as connection:
        submit(connection, "waits", "echo here I am")
        wait_until(lambda: "docker engine does not answer" in job(server, "waits")["why"], what="the reason")
        assert job(server, "waits")["status"] == "PENDING"
        own_engine.start()
        wait_until(lambda: job(server, "waits")["status"] == "DONE", what="the job")
    assert job_log(server, "waits") == "here I am"
    wait_until(lambda: ready(server) == (200, "database: ok\nblobs: ok\ncompute: ok\n"), what="readiness")


@pytest.mark.parametrize("how", ["-TERM", "-KILL"])
def test_an_engine_that_ends_its_containers_in_the_middle_of_a_job(started, own_engine, tmp_path, how):
    own_engine.start()
    server = started(env={"DOCKER_HOST": own_engine.host})
    set_up(server, tmp_path)
    with server.connect() as connection:
        submit(connection, "cut", 'trap "exit 3" TERM; echo begun; echo kept > /files/kept; sleep 600 & wait', volume=True)
        wait_until(lambda: job(server, "cut")["status"] == "RUNNING" and "begun" in job_log(server, "cut"), what="the job")
        wait_until(lambda: server.rows("LIST @ml.t.files"), what="the file")
        own_engine.stop(how)
        wait_until(lambda: ready(server)[0] == 503, what="the engine to be missed")
        submit(connection, "late", "echo late")
        wait_until(lambda: "docker engine does not answer" in job(server, "late")["why"], what="the reason")
        own_engine.start()
        wait_until(lambda: job(server, "late")["status"] == "DONE", what="the job that waited")
        wait_until(lambda: job(server, "cut")["status"] == "FAILED", what="the end of the job that was cut off")
    assert "Exited with code" in job(server, "cut")["why"]
    assert job_log(server, "cut") == "begun"
    assert [r["name"] for r in server.rows("LIST @ml.t.files")] == ["files/kept"]
    wait_until(lambda: not docker("ps", "-aq", env={**os.environ, "DOCKER_HOST": own_engine.host}), what="the containers to be removed")


@pytest.mark.parametrize("how", ["-TERM", "-KILL"])
@pytest.mark.parametrize("own_engine", [["--live-restore"]], indirect=True)
def test_an_engine_that_comes_again_to_its_containers(started, own_engine, tmp_path, how):
    own_engine.start()
    server = started(env={"DOCKER_HOST": own_engine.host})
    set_up(server, tmp_path)
    with server.connect() as connection:
        submit(connection, "kept", "for i in $(seq 6); do echo tick $i; sleep 1; done; echo all > /files/all", volume=True)
    wait_until(lambda: job(server, "kept")["status"] == "RUNNING" and "tick 1" in job_log(server, "kept"), what="the job")
    own_engine.stop(how)
    wait_until(lambda: ready(server)[0] == 503, what="the engine to be missed")
    assert job(server, "kept")["status"] == "RUNNING"
    own_engine.start()
    wait_until(lambda: job(server, "kept")["status"] == "DONE", what="the job")
    assert job_log(server, "kept") == "\n".join(f"tick {i}" for i in range(1, 7))
    assert [r["name"] for r in server.rows("LIST @ml.t.files")] == ["files/all"]


def test_a_stop_leaves_jobs_running(started, own_engine, tmp_path):
    own_engine.start()
    server = started(env={"DOCKER_HOST": own_engine.host})
    set_up(server, tmp_path)
    with server.connect() as connection:
        submit(connection, "long", "for i in $(seq 4); do echo tick $i; sleep 1; done; echo all > /files/all", volume=True)
    wait_until(lambda: job(server, "long")["status"] == "RUNNING" and "tick 1" in job_log(server, "long"), what="the job")
    assert server.stop() == 0
    env = {**os.environ, "DOCKER_HOST": own_engine.host}
    assert len(docker("ps", "-q", env=env).split()) == 1
    wait_until(lambda: not docker("ps", "-q", env=env), what="the container to end by itself")
    server.start()
    wait_until(lambda: job(server, "long")["status"] == "DONE", what="the job")
    assert job_log(server, "long") == "\n".join(f"tick {i}" for i in range(1, 5))
    assert [r["name"] for r in server.rows("LIST @ml.t.files")] == ["files/all"]


def test_an_image_that_is_gone_from_the_engine_is_pulled_again(started, own_engine, tmp_path):
    own_engine.start()
    server = started(env={"DOCKER_HOST": own_engine.host})
    set_up(server, tmp_path)
    env = {**os.environ, "DOCKER_HOST": own_engine.host}
    with server.connect() as connection:
        for n in range(2):
            submit(connection, f"j{n}", f"echo run {n}")
            wait_until(lambda: job(server, f"j{n}")["status"] == "DONE", what="the job")
            assert job_log(server, f"j{n}") == f"run {n}"
            wait_until(lambda: not docker("ps", "-aq", env=env), what="the container to be removed")
            docker("rmi", "-f", *docker("image", "ls", "-q", env=env).split(), env=env)


def test_a_full_disk_refuses_and_loses_nothing(small_disk, started, tmp_path):  # the server ends before its disk goes
    place, grow = small_disk
    server = started("--compute", "none", directory=place / "firnd")
    work = tmp_path / "work"
    set_up(server, work)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(60 << 20))
    with server.connect() as connection:
        (tmp_path / "before").write_bytes(b"before")
        connection.cursor().execute(f"PUT 'file://{tmp_path}/before' @ml.t.files AUTO_COMPRESS = FALSE")
        text = refused(lambda: connection.cursor().execute(f"PUT 'file://{large}' @ml.t.files AUTO_COMPRESS = FALSE"))
        assert "507" in text or "disk" in text.lower() or "storage" in text.lower(), text
        with requests.Session() as http:  # as docker does, which would try for a minute
            http.auth = ("ADMIN", server.password())
            begun = http.post(f"http://{server.host}/v2/ml/t/images/large/blobs/uploads/")
            upload = requests.compat.urljoin(begun.url, begun.headers["Location"])
            answer = http.patch(upload, data=large.open("rb"))
            assert answer.status_code == 507 and "no space left" in answer.json()["errors"][0]["message"], answer.text
            assert http.delete(upload).status_code == 204
        # What needs no room goes on, and so does what little still fits.
        assert requests.get(f"http://{server.host}/healthz", timeout=10).ok
        assert [r["name"] for r in server.rows("LIST @ml.t.files")] == ["files/before"]
        assert [r["image_name"] for r in server.rows("SHOW IMAGES IN IMAGE REPOSITORY ml.t.images")] == ["small"]
        # The database itself is out of room.
        with open(place / "filler", "wb") as filler:
            try:
                while True:
                    filler.write(b"x" * 65536)
                    filler.flush()
            except OSError:
                pass
        made = set()

        def fill():
            for i in range(400):
                connection.cursor().execute(f"CREATE STAGE ml.t.s{i} COMMENT = '{'c' * 20000}'")
                made.add(f"S{i}")

        text = refused(fill)
        assert "disk is full" in text, text
        os.remove(place / "filler")
        grow("256m")
        connection.cursor().execute("CREATE STAGE ml.t.afterwards")
        connection.cursor().execute(f"PUT 'file://{large}' @ml.t.files AUTO_COMPRESS = FALSE")
        push(server, large_image(tmp_path, large), "ml/t/images/large:v1", work)
        assert {r["name"] for r in server.rows("SHOW STAGES IN SCHEMA ml.t")} == made | {"FILES", "AFTERWARDS"}
    assert sorted(r["name"] for r in server.rows("LIST @ml.t.files")) == ["files/before", "files/large"]
    assert sorted(r["image_name"] for r in server.rows("SHOW IMAGES IN IMAGE REPOSITORY ml.t.images")) == ["large", "small"]
    assert server.stop() == 0


def test_a_data_directory_that_cannot_be_written(small_disk):
    place, _ = small_disk
    subprocess.run(as_root("mount", "-o", "remount,ro", place), check=True)
    done = subprocess.run([BIN / "firnd", "serve", "--compute", "none", "--data-dir", place / "data"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"firnd: data directory {place}/data cannot be made: ") and "read-only" in done.stderr


def test_a_database_that_another_process_locks(started, tmp_path):
    server = started("--compute", "none")
    lock = sqlite3.connect(server.data / "firn.db", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    threading.Timer(2, lambda: lock.execute("ROLLBACK")).start()
    server.rows("CREATE DATABASE waits")  # a short lock is waited for
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(Error) as caught:
        server.rows("CREATE DATABASE in_vain")
    assert "is locked by another process" in str(caught.value) or "locked" in server.log()
    lock.execute("ROLLBACK")
    server.rows("CREATE DATABASE afterwards")
    names = [r["name"] for r in server.rows("SHOW DATABASES")]
    assert "WAITS" in names and "AFTERWARDS" in names and "IN_VAIN" not in names
    assert server.stop() == 0
    lock.execute("BEGIN EXCLUSIVE")
    done = subprocess.run([BIN / "firnd", "serve", "--compute", "none", "--data-dir", server.data, "--listen", server.host],
                          capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == f"firnd: catalog file {server.data}/firn.db is locked by another process\n" or \
        f"catalog file {server.data}/firn.db is locked by another process" in done.stderr
    lock.execute("ROLLBACK")
    server.start()
    assert "WAITS" in [r["name"] for r in server.rows("SHOW DATABASES")]


def upload_plan(connection, text: str) -> dict:
    """Where the answer of PUT sends the client."""
    return connection.cmd_query(text, 1, uuid.uuid4(), is_file_transfer=True)["data"]["stageInfo"]


def half_put(server, url: str, size: int) -> None:
    """Sends half of an upload and goes away."""
    path = url.split(server.host, 1)[1]
    host, port = server.host.split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall(f"PUT {path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {size}\r\n\r\n".encode() + b"h" * (size // 2))
        time.sleep(0.2)


def test_half_an_upload_is_no_file(started, tmp_path):
    server = started("--compute", "none")
    with server.connect() as connection:
        for text in ("CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE STAGE ml.t.files"):
            connection.cursor().execute(text)
        (tmp_path / "old").write_bytes(b"old content")
        connection.cursor().execute(f"PUT 'file://{tmp_path}/old' @ml.t.files AUTO_COMPRESS = FALSE")
        for name in ("old", "new"):
            plan = upload_plan(connection, f"PUT 'file:///x/{name}' @ml.t.files OVERWRITE = TRUE AUTO_COMPRESS = FALSE")
            url = plan["presignedUrl"] or f"{plan['endPoint']}/{plan['location']}/{name}?firn-token={plan['creds']['GCS_ACCESS_TOKEN']}"
            half_put(server, url, 5 << 20)
        (tmp_path / "back").mkdir()
        connection.cursor().execute(f"GET @ml.t.files 'file://{tmp_path}/back/'")
    assert {f.name: f.read_bytes() for f in (tmp_path / "back").iterdir()} == {"old": b"old content"}


def test_without_a_base_image_create_says_how_to_publish_one(started, tmp_path):
    server = started("--compute", "none")
    set_up(server, tmp_path)
    with pytest.raises(ProgrammingError) as caught:
        server.rows("CREATE CUSTOM RUNTIME ENVIRONMENT e IMAGE_PATH = '/ml/t/images/small:v1' BASE_IMAGE_TYPE = CPU")
    assert "no base image is approved yet" in str(caught.value) and "firnd base build" in str(caught.value)


def test_an_image_of_an_unknown_base_is_told_so(pushed):
    docker("tag", small_image(), "firn-e2e/stranger:v1")
    pushed.push("firn-e2e/stranger:v1", "stranger:v1")
    text = refused(lambda: pushed.create_environment("stranger:v1", "stranger_env"))
    assert "[FAIL] lineage" in text and "fix:" in text
    assert pushed.rows("paula", "SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE 'stranger_env'") == []


@pytest.mark.parametrize("name,dockerfile,says", [
    ("norway", "ENV PATH=/usr/local/bin:/usr/bin:/bin", ["[FAIL] executed_ray: ray start:", "/opt/firn/bin"]),
    ("noimport", "RUN d=$(python3 -c 'import sqlparse; print(sqlparse.__path__[0])') && echo 'raise ImportError(\"sabotage\")' > $d/__init__.py",
     ["[FAIL] executed_imports: sqlparse: import sqlparse: ImportError: sabotage"]),
])
def test_an_image_that_only_its_run_shows_to_be_unfit(pushed, name, dockerfile, says):
    base = f"{pushed.host}/snowflake/images/snowflake_images/container_runtime/cpu_x86_64:{pushed.base_tag}"
    docker("build", "-q", "--force-rm", "-t", f"firn-e2e/{name}:v1", "-", input=f"FROM {base}\nUSER root\n{dockerfile}\n".encode())
    pushed.push(f"firn-e2e/{name}:v1", f"{name}:v1")
    text = refused(lambda: pushed.create_environment(f"{name}:v1", f"{name}_env"))
    for say in says:
        assert say in text
    assert pushed.rows("paula", f"SHOW CUSTOM RUNTIME ENVIRONMENTS LIKE '{name}_env'") == []


def test_tls_with_the_real_clients(started, tmp_path, monkeypatch):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=firn",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    server = started("--compute", "none", "--tls-cert", str(cert), "--tls-key", str(key))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
    (tmp_path / "data.txt").write_bytes(os.urandom(3 << 20))
    with server.connect(protocol="https") as connection:
        for text in ("CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE STAGE ml.t.files", "CREATE IMAGE REPOSITORY ml.t.images"):
            connection.cursor().execute(text)
        plan = upload_plan(connection, "PUT 'file:///x/a' @ml.t.files")
        assert plan["creds"].get("GCS_ACCESS_TOKEN") and not plan["presignedUrl"]
        assert connection.cursor().execute(f"PUT 'file://{tmp_path}/data.txt' @ml.t.files AUTO_COMPRESS = FALSE").fetchall()[0][6] == "UPLOADED"
        (tmp_path / "back").mkdir()
        connection.cursor().execute(f"GET @ml.t.files 'file://{tmp_path}/back/'")
    assert (tmp_path / "back" / "data.txt").read_bytes() == (tmp_path / "data.txt").read_bytes()
    push(server, small_image(), "ml/t/images/small:v1", tmp_path)


def test_memory_at_rest_is_small(started):
    server = started("--compute", "none")
    server.rows("SHOW DATABASES")
    status = open(f"/proc/{server.process.pid}/status").read()
    kib = int(status.split("VmRSS:")[1].split()[0])
    assert kib <= 120 << 10, f"{kib >> 10} MiB"
