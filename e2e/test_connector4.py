# SPDX-License-Identifier: Apache-2.0
"""The Python connector 4.x: what all versions do, and what only this one shows."""
import time

import pytest
import snowflake.connector

from connector import *  # noqa: F403
from connector import DatabaseError, fails, wait_until


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
    fails(604, lambda: connection.get_query_status_throw_if_error(cursor.sfqid))


def test_the_history_of_snow_sql(connection, cursor):
    for n in (1, 2, 3):
        cursor.execute(f"SELECT {n}")
    cursor.execute("USE ROLE accountadmin")
    url = f"/monitoring/queries?max=25&includeDDL=false&session_id={connection.session_id}"
    queries = connection.rest.request(url, method="get", client="rest")["data"]["queries"]
    assert [(q["sqlText"], q["state"]) for q in queries] == [(f"SELECT {n}", "SUCCEEDED") for n in (3, 2, 1)]
