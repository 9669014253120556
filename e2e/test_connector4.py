# SPDX-License-Identifier: Apache-2.0
"""The Python connector 4.x: what all versions do, and what only this one shows."""
import subprocess
import time

import pytest
import snowflake.connector

from connector import *  # noqa: F403
from conftest import Server
from connector import DatabaseError, fails, put
from engine import wait_until


def test_this_is_version_4():
    assert snowflake.connector.__version__.startswith("4.")


def test_tokens_join_a_session(door):
    host, port = door.host.split(":")
    with door.connect("dan") as first:
        first.cursor().execute("SET a = 42")
        login = dict(account="firn", host=host, port=int(port), protocol="http")
        second = snowflake.connector.connect(session_token=first.rest.token, master_token=first.rest.master_token, **login)
        assert second.cursor().execute("SELECT $a").fetchone() == (42,)
        with pytest.raises(snowflake.connector.Error):
            snowflake.connector.connect(session_token="wrong", master_token="wrong", **login)


def test_renewed_tokens_replace_the_old_one(door):
    with door.connect("dan") as c:
        old = c.rest.token
        c.rest._renew_session()
        assert c.rest.token != old
        assert c.cursor().execute("SELECT 1").fetchone() == (1,)
        c.rest._heartbeat()


def test_the_token_of_a_closed_session_opens_nothing(door):
    host, port = door.host.split(":")
    c = door.connect("dan")
    tokens = dict(session_token=c.rest.token, master_token=c.rest.master_token)
    c.close()
    with pytest.raises(snowflake.connector.Error):
        snowflake.connector.connect(account="firn", host=host, port=int(port), protocol="http", **tokens).cursor().execute("SELECT 1")


def test_a_client_without_arrow_gets_json_from_long_statements_too(cursor):
    cursor.execute("SELECT SYSTEM$WAIT(1), 5", _statement_params={"PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "JSON"})
    assert cursor.fetchone()[1] == 5
    with pytest.raises(snowflake.connector.NotSupportedError):
        cursor.fetch_arrow_all()


def test_a_timeout_of_the_client_cancels_on_the_server(connection, cursor):
    begin = time.monotonic()
    with pytest.raises(DatabaseError) as caught:
        cursor.execute("SELECT SYSTEM$WAIT(60)", timeout=1)
    assert time.monotonic() - begin < 20
    assert caught.value.errno == 604, caught.value
    running = "SELECT COUNT(*) FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION()) WHERE execution_status = 'RUNNING' AND query_text LIKE '%WAIT(60)'"
    wait_until(lambda: connection.cursor().execute(running).fetchone() == (0,))


def test_abort_query_stops_a_statement(connection, cursor):
    cursor.execute_async("SELECT SYSTEM$WAIT(60)")
    assert cursor.abort_query(cursor.sfqid)
    wait_until(lambda: not connection.is_still_running(connection.get_query_status(cursor.sfqid)))
    fails(604, lambda: connection.get_query_status_throw_if_error(cursor.sfqid))


@pytest.fixture(scope="module")
def tls_door(tmp_path_factory):
    """A server that speaks TLS with a certificate of its own."""
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", directory / "key.pem", "-out", directory / "cert.pem",
                    "-days", "2", "-subj", "/CN=firn", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
    s = Server(directory, "--compute", "none", "--tls-cert", str(directory / "cert.pem"), "--tls-key", str(directory / "key.pem"))
    s.start()
    yield s, str(directory / "cert.pem")
    assert s.stop() == 0


def test_over_tls_what_is_there_is_skipped(tls_door, tmp_path, monkeypatch):
    server, certificate = tls_door
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    host, port = server.host.split(":")
    for name in ("a.txt", "b c.txt"):
        (tmp_path / name).write_text(name)
    out = tmp_path / "out"
    out.mkdir()
    with snowflake.connector.connect(account="firn", host=host, port=int(port), user="ADMIN", password=server.password()) as c:
        cursor = c.cursor()
        assert [r[6] for r in put(cursor, f"{tmp_path}/*.txt", "@~/t")] == ["UPLOADED", "UPLOADED"]
        assert [r[6] for r in put(cursor, f"{tmp_path}/*.txt", "@~/t")] == ["SKIPPED", "SKIPPED"]
        assert [r[6] for r in put(cursor, f"{tmp_path}/*.txt", "@~/t", overwrite=True)] == ["UPLOADED", "UPLOADED"]
        assert [r[2] for r in cursor.execute(f"GET @~/t 'file://{out}'").fetchall()] == ["DOWNLOADED", "DOWNLOADED"]
        rows = cursor.execute("SELECT SEQ8() FROM TABLE(GENERATOR(ROWCOUNT => 60000))").fetchall()
        assert len(rows) == 60000
    assert sorted(p.name for p in out.iterdir()) == ["a.txt.gz", "b c.txt.gz"]


def test_the_history_of_snow_sql(connection, cursor):
    for n in (1, 2, 3):
        cursor.execute(f"SELECT {n}")
    cursor.execute("USE ROLE accountadmin")
    url = f"/monitoring/queries?max=25&includeDDL=false&session_id={connection.session_id}"
    queries = connection.rest.request(url, method="get", client="rest")["data"]["queries"]
    assert [(q["sqlText"], q["state"]) for q in queries] == [(f"SELECT {n}", "SUCCEEDED") for n in (3, 2, 1)]
