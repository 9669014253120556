# SPDX-License-Identifier: Apache-2.0
"""What every major version of the Python connector must be able to do. test_connector4.py and test_connector5.py run these, each in
the environment of its version, and add what only their version has.
"""
import concurrent.futures
import datetime
import decimal
import gzip
import io
import os
import pathlib
import time

import pytest
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector import DatabaseError, DictCursor, ProgrammingError

from engine import wait_until

JSON = "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT"


@pytest.fixture
def connection(door):
    with door.connect("ADMIN", database="ML", schema="CHURN") as c:
        yield c


@pytest.fixture
def cursor(connection):
    return connection.cursor()


@pytest.fixture
def stage(cursor, request):
    """A stage of the test's own."""
    name = "st_" + "".join(c if c.isalnum() else "_" for c in request.node.name)[:60]
    cursor.execute(f"CREATE OR REPLACE STAGE {name} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')")
    yield name
    cursor.execute(f"DROP STAGE {name}")


def fails(number, act):
    """act must fail with a number; gives the error."""
    with pytest.raises(DatabaseError) as caught:
        act()
    assert caught.value.errno == number, caught.value
    return caught.value


def key_pair(size=2048):
    """A private key as the connector takes it, and the public half as ALTER USER does."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=size)
    private = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    return private, "".join(public.splitlines()[1:-1])


# -- login


def test_a_password_logs_in_and_the_session_knows_its_place(door):
    with door.connect("dan") as c:
        row = c.cursor().execute("SELECT CURRENT_USER(), CURRENT_ROLE(), CURRENT_DATABASE(), CURRENT_SCHEMA(), CURRENT_WAREHOUSE()").fetchone()
        assert row == ("DAN", "DATA_SCIENTIST", "ML", "CHURN", "ML_WH")
        assert (c.role, c.database, c.schema, c.warehouse) == ("DATA_SCIENTIST", "ML", "CHURN", "ML_WH")


@pytest.mark.parametrize("user", ["dan", "nobody"])
def test_a_wrong_password_and_an_unknown_user_look_the_same(door, user):
    host, port = door.host.split(":")
    error = fails(390100, lambda: snowflake.connector.connect(account="firn", host=host, port=int(port), protocol="http", user=user,
                                                              password="wrong"))
    assert error.sqlstate == "28000" and "Incorrect username or password was specified" in str(error)


def test_a_key_pair_logs_in_and_another_key_does_not(door):
    host, port = door.host.split(":")
    private, public = key_pair()
    door.sql("ADMIN", f"CREATE OR REPLACE USER kim DEFAULT_ROLE = data_scientist RSA_PUBLIC_KEY = '{public}'; GRANT ROLE data_scientist TO USER kim")
    login = dict(account="firn", host=host, port=int(port), protocol="http", user="kim", authenticator="SNOWFLAKE_JWT")
    with snowflake.connector.connect(private_key=private, **login) as c:
        assert c.cursor().execute("SELECT CURRENT_USER()").fetchone() == ("KIM",)
    error = fails(390144, lambda: snowflake.connector.connect(private_key=key_pair()[0], **login))
    assert "JWT token is invalid" in str(error)


def test_a_user_without_a_key_cannot_log_in_by_one(door):
    host, port = door.host.split(":")
    fails(390144, lambda: snowflake.connector.connect(account="firn", host=host, port=int(port), protocol="http", user="dan",
                                                      authenticator="SNOWFLAKE_JWT", private_key=key_pair()[0]))


def test_a_role_that_is_not_granted_refuses_the_login(door):
    error = fails(390189, lambda: door.connect("dan", role="ACCOUNTADMIN"))
    assert "Role 'ACCOUNTADMIN' specified in the connect string does not exist or not authorized" in str(error)


def test_an_unknown_database_is_left_out_or_refused_as_the_client_wants(door):
    with door.connect("ADMIN", database="NO_SUCH_DB") as c:
        assert c.cursor().execute("SELECT CURRENT_DATABASE()").fetchone() == (None,)
    error = fails(390201, lambda: door.connect("ADMIN", database="NO_SUCH_DB", validate_default_parameters=True))
    assert "The requested database does not exist or not authorized" in str(error)


def test_session_parameters_of_the_login_hold(door):
    with door.connect("ADMIN", session_parameters={"QUERY_TAG": "it's\na \"tag\"", "TIMEZONE": "Europe/Berlin", "ENABLE_SOMETHING_NEW": "1"}) as c:
        shown = c.cursor(DictCursor).execute("SHOW PARAMETERS LIKE 'QUERY_TAG' IN SESSION").fetchall()
        assert [(r["value"], r["level"]) for r in shown] == [("it's\na \"tag\"", "SESSION")]
        noon = c.cursor().execute("SELECT '2024-07-01 12:00:00'::TIMESTAMP_LTZ").fetchone()[0]
        assert noon.isoformat() == "2024-07-01T12:00:00+02:00"


def test_session_parameters_change(cursor):
    cursor.execute("ALTER SESSION SET QUERY_TAG = 'a', TIMEZONE = 'Asia/Tokyo'")
    assert cursor.execute("SELECT '2024-07-01 12:00:00'::TIMESTAMP_LTZ").fetchone()[0].utcoffset() == datetime.timedelta(hours=9)
    cursor.execute("ALTER SESSION UNSET QUERY_TAG")
    assert cursor.execute("SHOW PARAMETERS LIKE 'QUERY_TAG' IN SESSION").fetchone()[1:4] == ("", "", "")
    assert cursor.execute("SHOW PARAMETERS LIKE 'NO_SUCH_PARAMETER'").fetchall() == []


def test_a_closed_connection_says_so(door):
    c = door.connect("dan")
    assert c.is_valid()
    c.close()
    assert not c.is_valid()
    with pytest.raises(snowflake.connector.Error):
        c.cursor().execute("SELECT 1")


def test_use_changes_what_the_connection_says(connection, cursor):
    cursor.execute("CREATE DATABASE IF NOT EXISTS \"an-other db\"")
    assert connection.database == "an-other db" or cursor.execute("SELECT CURRENT_DATABASE()").fetchone() == ("an-other db",)
    cursor.execute("USE SCHEMA ml.churn")
    assert (connection.database, connection.schema) == ("ML", "CHURN")
    cursor.execute("USE ROLE public")
    assert connection.role == "PUBLIC"
    cursor.execute("USE ROLE accountadmin")
    cursor.execute("DROP DATABASE \"an-other db\"")


# -- data

VALUES = [
    "1, -1, 0, NULL",
    "1.50::NUMBER(10,2), -0.05::NUMBER(38,2), 12345678901234567890123456789012345678::NUMBER(38,0), NULL::NUMBER(38,0), 16::NUMBER(38,18)",
    "99999999999999999999.99::NUMBER(38,2), 0.1::FLOAT, 'inf'::FLOAT, -1e300::FLOAT",
    "'x', '', 'é☃ \"quoted\" \\\\ back', NULL::VARCHAR, TRUE, FALSE, NULL::BOOLEAN",
    "'2024-01-02'::DATE, '0001-01-01'::DATE, '9999-12-31'::DATE, '12:34:56.123456'::TIME, '00:00:00'::TIME(0)",
    "'1969-12-31 23:59:58.75'::TIMESTAMP_NTZ, '2024-01-01 01:02:03.123456'::TIMESTAMP_NTZ(6), '9999-12-31 23:59:59.999'::TIMESTAMP_NTZ(3)",
    "'0001-01-01 00:00:00'::TIMESTAMP_NTZ(9), '2024-01-01 01:02:03'::TIMESTAMP_NTZ(0), NULL::TIMESTAMP_NTZ",
    "'2024-01-01 01:02:03.123 +0100'::TIMESTAMP_TZ(3), '2024-01-01 01:02:03.123456 -0530'::TIMESTAMP_TZ(9)",
    "'2024-01-01 01:02:03 +0100'::TIMESTAMP_TZ(0), '1960-01-01 01:02:03.123456 +0100'::TIMESTAMP_TZ(6), NULL::TIMESTAMP_TZ",
    "'2024-01-01 01:02:03.123'::TIMESTAMP_LTZ(3), '2024-01-01 01:02:03.123456'::TIMESTAMP_LTZ(9), NULL::TIMESTAMP_LTZ",
    "PARSE_JSON('{\"a\":[1,2]}'), ARRAY_CONSTRUCT(1, 2), OBJECT_CONSTRUCT('a', 1), PARSE_JSON('null'), NULL::VARIANT",
]


@pytest.mark.parametrize("values", VALUES)
def test_both_formats_give_the_same_values(cursor, values):
    cursor.execute("SELECT " + values)
    arrow, described = cursor.fetchall(), cursor.description
    cursor.execute(f"ALTER SESSION SET {JSON} = 'json'")
    cursor.execute("SELECT " + values)
    assert repr(cursor.fetchall()) == repr(arrow)
    assert cursor.description == described


def test_values_are_of_the_python_types(cursor):
    row = cursor.execute("SELECT 7, 1.50, 2.5::FLOAT, 'x', TRUE, '2024-01-02'::DATE, TO_BINARY('00FF', 'HEX')").fetchone()
    assert row == (7, decimal.Decimal("1.50"), 2.5, "x", True, datetime.date(2024, 1, 2), b"\x00\xff")
    assert [type(v) for v in row[:6]] == [int, decimal.Decimal, float, str, bool, datetime.date]


def test_columns_are_named_by_their_text(cursor):
    cursor.execute("SELECT PI(), 1, 'b', COUNT(*) FROM (SELECT 1)")
    assert [d[0] for d in cursor.description] == ["PI()", "1", "'B'", "COUNT(*)"]


def test_pandas_and_arrow(cursor):
    frame = cursor.execute("SELECT column1 AS n, column2 AS t, column3::FLOAT AS f FROM VALUES (1, 'a', 0.5), (2, NULL, NULL)").fetch_pandas_all()
    assert list(frame.columns) == ["N", "T", "F"] and frame["N"].dtype == "int64" and frame["F"].dtype == "float64"
    assert frame["N"].tolist() == [1, 2] and frame["T"].tolist() == ["a", None]
    table = cursor.execute("SELECT 1 AS a, 'x' AS b").fetch_arrow_all()
    assert table.to_pydict() == {"A": [1], "B": ["x"]}


def test_no_rows_are_no_rows_in_every_form(cursor):
    empty = "SELECT column1 AS a, column2 AS b FROM VALUES (1, 'x') WHERE a > 5"
    assert cursor.execute(empty).fetchall() == []
    assert cursor.execute(empty).fetch_arrow_all() is None
    table = cursor.execute(empty).fetch_arrow_all(force_return_table=True)
    assert table.num_rows == 0 and table.column_names == ["A", "B"]
    assert list(cursor.execute(empty).fetch_pandas_all().columns) == ["A", "B"]


@pytest.mark.parametrize("format", ["arrow", "json"])
@pytest.mark.parametrize("rows, least", [(100, 1), (60_000, 2), (300_000, 5)])
def test_large_results_come_in_batches(cursor, rows, least, format):
    cursor.execute(f"ALTER SESSION SET {JSON} = '{format}'")
    cursor.execute(f"SELECT SEQ8() AS n, 'row ' || SEQ8() AS t, NULL AS nothing FROM TABLE(GENERATOR(ROWCOUNT => {rows}))")
    batches = cursor.get_result_batches()
    assert len(batches) >= least and (least > 1) == (len(batches) > 1)
    found = cursor.fetchall()
    assert len(found) == rows and found[0] == (0, "row 0", None) and found[-1] == (rows - 1, f"row {rows - 1}", None)
    assert sum(n for n, _, _ in found) == rows * (rows - 1) // 2


def test_a_number_too_wide_for_64_bits_in_a_later_batch(cursor):
    cursor.execute("SELECT IFF(SEQ8() = 59999, 12345678901234567890123456789, SEQ8()) AS n FROM TABLE(GENERATOR(ROWCOUNT => 60000))")
    table = cursor.fetch_arrow_all()
    assert table.num_rows == 60000 and int(table["N"][59999].as_py()) == 12345678901234567890123456789


def test_show_and_dict_rows(connection):
    rows = connection.cursor(DictCursor).execute("SHOW SCHEMAS LIKE 'CHURN' IN DATABASE ml").fetchall()
    assert [r["name"] for r in rows] == ["CHURN"] and isinstance(rows[0]["created_on"], datetime.datetime)
    again = connection.cursor().execute("SELECT \"name\" FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))").fetchall()
    assert again == [("CHURN",)]


# -- statements


def test_binds_by_text(cursor):
    awkward = "it's a \\ % \n ☃"
    assert cursor.execute("SELECT %s, %s, %s", (1, awkward, None)).fetchone() == (1, awkward, None)
    assert cursor.execute("SELECT %(a)s || %(b)s", {"a": "x", "b": "y"}).fetchone() == ("xy",)
    assert cursor.execute("SELECT 1 WHERE 2 IN (%s)", ([1, 2],)).fetchone() == (1,)


@pytest.mark.parametrize("style, text", [("qmark", "SELECT ?, ?, ?, ?, ?, ?"), ("numeric", "SELECT :1, :2, :3, :4, :5, :6")])
def test_binds_by_the_server(door, style, text):
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)
    values = (1, "it's", None, True, datetime.date(2024, 1, 2), moment)
    with door.connect("dan", paramstyle=style) as c:
        row = c.cursor().execute(text, values).fetchone()
        assert [str(v) for v in row[:5]] == ["1", "it's", "None", "True", "2024-01-02"]
        assert str(row[5]).startswith("2024-05-06 07:08:09.123456")


def test_executemany(door):
    with door.connect("dan", paramstyle="qmark") as c:
        cursor = c.cursor()
        cursor.executemany("SELECT ? + ?", [(1, 2), (3, 4)])
        assert cursor.fetchall() == [(7,)]


def test_describe_runs_nothing(connection, cursor):
    described = cursor.describe("SELECT 1::NUMBER(10,2) AS a, 'x' AS b, SYSTEM$WAIT(60) AS w")
    assert [d.name for d in described] == ["A", "B", "W"]
    assert (described[0].precision, described[0].scale) == (10, 2)
    for text in ("SHOW DATABASES", "SHOW COMPUTE POOLS", "SHOW CUSTOM RUNTIME ENVIRONMENTS", "SELECT 1 AS a, NULL AS b", "LIST @~"):
        described = [(d.name, d.type_code) for d in cursor.describe(text)]
        cursor.execute(text)
        assert [(d.name, d.type_code) for d in cursor.description] == described, text
    cursor.describe("CREATE DATABASE never_made")
    assert cursor.execute("SHOW DATABASES LIKE 'never_made'").fetchall() == []


def test_several_statements_in_one_request(cursor):
    cursor.execute("SELECT 1; SELECT 'a;b' -- two; three\n; SHOW DATABASES LIKE 'ML'", num_statements=3)
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset() and cursor.fetchall() == [("a;b",)]
    assert cursor.nextset() and len(cursor.fetchall()) == 1
    assert not cursor.nextset()


def test_several_statements_need_the_right_number(cursor):
    error = fails(8, lambda: cursor.execute("SELECT 1; SELECT 2"))
    assert "Actual statement count 2 did not match the desired statement count 1" in str(error)
    fails(8, lambda: cursor.execute("SELECT 1; SELECT 2", num_statements=5))
    fails(100051, lambda: cursor.execute("SELECT 1; SELECT 1/0; SELECT 3", num_statements=0))


def test_execute_string_splits_on_the_client(connection):
    results = [c.fetchall() for c in connection.execute_string("SELECT 1; SELECT 'a;b'; -- nothing\nSELECT 3;")]
    assert results == [[(1,)], [("a;b",)], [(3,)]]


ERRORS = [
    ("SELECT foo", 904, "42000", "invalid identifier 'FOO'"),
    ("SELECT 'not_a_number'::INT", 100038, "22018", "Numeric value 'not_a_number' is not recognized"),
    ("SELECT 1/0", 100051, "22012", "Division by zero"),
    ("SELECT 'x'::DATE", 100040, "22007", "Date 'x' is not recognized"),
    ("SELECT 'x'::TIMESTAMP", 100035, "22007", "Timestamp 'x' is not recognized"),
    ("SELEC 1", 1003, "42000", "syntax error line 1 at position 0 unexpected 'selec'"),
    ("SELECT * FROM no_such_table", 2003, "42S02", "Object 'NO_SUCH_TABLE' does not exist or not authorized"),
    ("LIST @no_such_stage", 2003, "02000", "Stage 'ML.CHURN.NO_SUCH_STAGE' does not exist or not authorized"),
    ("USE SCHEMA no_such_schema", 2043, "02000", "Object does not exist, or operation cannot be performed"),
    ("SELECT no_such_function(1)", 2140, "42601", "Unknown function"),
    ("SELECT * FROM TABLE(RESULT_SCAN('01b2c3d4-0000-0000-0000-000000000001'))", 709, "02000", "not found"),
    ("-- a comment only", 900, "42000", "Empty SQL statement"),
    ("CREATE DATABASE ml", 2002, "42710", "already exists"),
]


@pytest.mark.parametrize("text, number, state, message", ERRORS)
def test_errors_have_the_numbers_that_clients_test(cursor, text, number, state, message):
    error = fails(number, lambda: cursor.execute(text))
    assert isinstance(error, ProgrammingError)
    assert error.sqlstate == state and message.lower() in str(error).lower()
    assert error.sfqid and len(error.sfqid) == 36


def test_what_may_not_be_done_is_3001(door):
    with door.connect("dan") as c:
        fails(3001, lambda: c.cursor().execute("CREATE STAGE ml.churn.mine"))


# -- asynchronous, cancelled, from several threads


def test_an_asynchronous_statement(door, connection, cursor):
    cursor.execute_async("SELECT 'later', SYSTEM$WAIT(5)")
    id = cursor.sfqid
    assert connection.is_still_running(connection.get_query_status(id))
    cursor.get_results_from_sfqid(id)
    assert cursor.fetchone()[0] == "later"
    assert connection.get_query_status(id).name == "SUCCESS"
    with door.connect("ADMIN") as other:
        assert other.cursor().execute(f"SELECT * FROM TABLE(RESULT_SCAN('{id}'))").fetchone()[0] == "later"


def test_an_asynchronous_statement_that_fails(connection, cursor):
    cursor.execute_async("SELECT 1/0")
    id = cursor.sfqid
    wait_until(lambda: not connection.is_still_running(connection.get_query_status(id)))
    assert connection.get_query_status(id).name == "FAILED_WITH_ERROR"
    fails(100051, lambda: connection.get_query_status_throw_if_error(id))
    with pytest.raises(DatabaseError, match="Division by zero"):
        cursor.get_results_from_sfqid(id)
        cursor.fetchall()


def test_an_asynchronous_result_is_arrow_too(cursor):
    cursor.execute_async("SELECT SEQ8() AS n FROM TABLE(GENERATOR(ROWCOUNT => 25000))")
    cursor.get_results_from_sfqid(cursor.sfqid)
    assert cursor.fetch_pandas_all()["N"].sum() == 25000 * 24999 // 2


def test_a_statement_is_cancelled_by_its_id(door, connection, cursor):
    cursor.execute_async("SELECT SYSTEM$WAIT(60)")
    id = cursor.sfqid
    said = connection.cursor().execute(f"SELECT SYSTEM$CANCEL_QUERY('{id}')").fetchone()[0]
    assert said == f"query [{id}] terminated."
    wait_until(lambda: connection.get_query_status(id).name in ("ABORTED", "FAILED_WITH_ERROR"))
    said = connection.cursor().execute(f"SELECT SYSTEM$CANCEL_QUERY('{id}')").fetchone()[0]
    assert said == "Identified SQL statement is not currently executing."


def test_a_statement_may_take_as_long_as_its_session_says(cursor):
    cursor.execute("ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 1")
    begin = time.monotonic()
    fails(630, lambda: cursor.execute("SELECT SYSTEM$WAIT(60)"))
    assert time.monotonic() - begin < 20


def test_a_session_runs_statements_side_by_side(connection):
    def one(n):
        return connection.cursor().execute(f"SELECT {n}, SYSTEM$WAIT(1500, 'MILLISECONDS')").fetchone()[0]

    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(16))) == list(range(16))
    assert time.monotonic() - begin < 16 * 1.5 * 0.75  # one after the other they wait longer


# -- stages


def put(cursor, path, location, **options):
    text = " ".join(f"{k} = {v}" for k, v in options.items())
    return cursor.execute(f"PUT 'file://{path}' {location} {text}").fetchall()


def listed(cursor, location):
    return {name.split("/", 1)[1]: size for name, size, _, _ in cursor.execute(f"LIST {location}").fetchall()}


def test_put_and_get_a_file(cursor, stage, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"hello\n")
    row = put(cursor, tmp_path / "a.txt", f"@{stage}/dir", auto_compress=False)[0]
    assert row[0] == "a.txt" and row[1] == "a.txt" and row[6] == "UPLOADED"
    name, size, md5, modified = cursor.execute(f"LIST @{stage}").fetchone()
    assert (name, size, md5) == (f"{stage}/dir/a.txt", 6, "b1946ac92492d2347c6235b4d2611184") and modified
    out = tmp_path / "out"
    out.mkdir()
    row = cursor.execute(f"GET @{stage}/dir/a.txt 'file://{out}'").fetchone()
    assert row[2] == "DOWNLOADED" and (out / "a.txt").read_bytes() == b"hello\n"


def test_put_compresses_by_itself(cursor, stage, tmp_path):
    (tmp_path / "b.csv").write_text("1,2\n" * 1000)
    row = put(cursor, tmp_path / "b.csv", f"@{stage}")[0]
    assert row[1] == "b.csv.gz" and row[5] == "GZIP"
    assert list(listed(cursor, f"@{stage}")) == ["b.csv.gz"]
    cursor.execute(f"GET @{stage} 'file://{tmp_path}'")
    assert gzip.decompress((tmp_path / "b.csv.gz").read_bytes()).decode() == "1,2\n" * 1000


def test_put_of_a_pattern_keeps_every_name(cursor, stage, tmp_path):
    for n in range(12):
        (tmp_path / f"f{n}.txt").write_text(f"file {n}")
    (tmp_path / "other.dat").write_text("not this")
    rows = put(cursor, f"{tmp_path}/f*.txt", f"@{stage}/many/")
    assert len(rows) == 12 and {r[6] for r in rows} == {"UPLOADED"}
    assert sorted(listed(cursor, f"@{stage}")) == sorted(f"many/f{n}.txt.gz" for n in range(12))
    out = tmp_path / "out"
    out.mkdir()
    cursor.execute(f"GET @{stage}/many 'file://{out}' PATTERN = '.*f1[01]?[.]txt[.]gz'")
    assert {p.name: gzip.decompress(p.read_bytes()).decode() for p in out.iterdir()} == {
        "f1.txt.gz": "file 1", "f10.txt.gz": "file 10", "f11.txt.gz": "file 11"}


def test_overwrite(cursor, stage, tmp_path):
    file = tmp_path / "a.txt"
    for text, options, status in (("one", {}, {"UPLOADED"}), ("two!", {}, {"SKIPPED", "UPLOADED"}), ("three", {"overwrite": True}, {"UPLOADED"})):
        file.write_text(text)
        assert put(cursor, file, f"@{stage}", auto_compress=False, **options)[0][6] in status
    assert listed(cursor, f"@{stage}") == {"a.txt": 5}


NAMES = ["with blank.txt", "ünï☃.txt", "it's.txt", "a#b%20c+d&e=f;g.txt", "UPPER.TXT", "no_extension", "dots.in.name.tar", "[brackets].txt"]


@pytest.mark.parametrize("name", NAMES)
def test_names_survive(cursor, stage, tmp_path, name):
    (tmp_path / name).write_text("content of " + name)
    path = f"file://{tmp_path / name}".replace("[", "[[]")
    if "'" not in name:  # connector 4 reads quoted paths up to the first quote, escaped or not
        path = f"'{path}'"
    row = cursor.execute(f"PUT {path} '@{stage}/a dir/é' auto_compress = false").fetchone()
    assert row[6] == "UPLOADED", row
    assert list(listed(cursor, f"@{stage}")) == [f"a dir/é/{name}"]
    out = tmp_path / "out"
    out.mkdir()
    rows = cursor.execute(f"GET '@{stage}/a dir/é' 'file://{out}'").fetchall()
    assert [r[2] for r in rows] == ["DOWNLOADED"], rows
    assert (out / name).read_text() == "content of " + name


def test_an_empty_file(cursor, stage, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert put(cursor, tmp_path / "empty", f"@{stage}", auto_compress=False)[0][6] == "UPLOADED"
    assert listed(cursor, f"@{stage}") == {"empty": 0}
    out = tmp_path / "out"
    out.mkdir()
    cursor.execute(f"GET @{stage} 'file://{out}'")
    assert (out / "empty").read_bytes() == b""


@pytest.mark.parametrize("location", ["@~/mine", '@ml.churn."odd stage-x"/p', '@ml."CHURN"."odd stage-x"'])
def test_other_places(cursor, tmp_path, location):
    cursor.execute('CREATE STAGE IF NOT EXISTS "odd stage-x"')
    (tmp_path / "a.txt").write_text("x")
    quoted = f"'{location}'"
    assert put(cursor, tmp_path / "a.txt", quoted, auto_compress=False, overwrite=True)[0][6] == "UPLOADED"
    out = tmp_path / "out"
    out.mkdir()
    assert cursor.execute(f"GET {quoted} 'file://{out}'").fetchone()[2] == "DOWNLOADED"
    assert len(cursor.execute(f"REMOVE {quoted}").fetchall()) == 1
    assert cursor.execute(f"REMOVE {quoted}").fetchall() == []


def test_a_stream_is_put(cursor, stage):
    body = os.urandom(100_000)
    cursor.execute(f"PUT 'file:///nowhere/data.bin' @{stage}/s auto_compress = false", file_stream=io.BytesIO(body))
    assert listed(cursor, f"@{stage}") == {"s/data.bin": 100_000}


def test_what_is_not_there_is_said(cursor, stage, tmp_path):
    with pytest.raises(DatabaseError):
        put(cursor, tmp_path / "missing.txt", f"@{stage}")
    fails(2003, lambda: cursor.execute("PUT file:///etc/hostname @no_such_stage"))
    fails(2003, lambda: cursor.execute(f"GET @no_such_stage 'file://{tmp_path}'"))


def test_putting_needs_write(door, stage, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with door.connect("dan") as c:
        with pytest.raises(ProgrammingError) as caught:
            put(c.cursor(), tmp_path / "a.txt", f"@ml.churn.{stage}")
        assert caught.value.errno in (2003, 3001)


def test_a_big_file_takes_little_memory_of_the_server(door, cursor, stage, tmp_path):
    big = tmp_path / "big.bin"
    block = os.urandom(1 << 20)
    with big.open("wb") as f:
        for _ in range(200):
            f.write(block)
    process = pathlib.Path(f"/proc/{door.server.process.pid}")

    def memory(key):
        return next(int(line.split()[1]) for line in (process / "status").read_text().splitlines() if line.startswith(key))

    (process / "clear_refs").write_text("5")  # the peak counts from now
    before = memory("VmRSS")
    put(cursor, big, f"@{stage}", auto_compress=False)
    assert listed(cursor, f"@{stage}") == {"big.bin": 200 << 20}
    out = tmp_path / "out"
    out.mkdir()
    cursor.execute(f"GET @{stage} 'file://{out}'")
    assert (out / "big.bin").stat().st_size == 200 << 20
    assert (out / "big.bin").read_bytes() == big.read_bytes()
    assert memory("VmHWM") - before < 100 << 10  # KiB
