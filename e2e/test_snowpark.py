# SPDX-License-Identifier: Apache-2.0
"""Snowpark and snowflake.ml.data, as notebooks and job payloads use them: data frames over queries, files, the session's life."""
import datetime
import decimal
import io
import threading

import pandas as pd
import pytest
from snowflake.connector.errors import OperationalError
from snowflake.snowpark import Session
from snowflake.snowpark import functions as f
from snowflake.snowpark.exceptions import SnowparkSQLException
from snowflake.snowpark.types import IntegerType, StringType, StructField, StructType


@pytest.fixture
def session(door):
    s = door.session("ADMIN", database="ML", schema="CHURN")
    yield s
    s.close()


def test_what_the_session_knows(session):
    assert session.get_current_database() == '"ML"' and session.get_current_schema() == '"CHURN"'
    assert session.get_current_role() == '"ACCOUNTADMIN"' and session.get_current_user() == '"ADMIN"'
    assert session.get_current_account().upper() == '"FIRN"'  # as the client wrote it
    assert session.sql("SELECT CURRENT_ACCOUNT()").collect()[0][0] == "FIRN"
    session.use_role("public")
    assert session.get_current_role() == '"PUBLIC"'


def test_sql(session):
    assert session.sql("SELECT 1 AS a, 'x' AS b").collect()[0].as_dict() == {"A": 1, "B": "x"}
    assert session.sql("SELECT ? + ?", params=[1, 2]).collect()[0][0] == 3
    assert session.sql("SELECT 1 AS a").first()["A"] == 1
    assert session.sql("SELECT column1 AS a FROM VALUES (1), (2), (3)").count() == 3
    assert list(session.sql("SELECT column1 AS a FROM VALUES (1), (2)").to_local_iterator())[1]["A"] == 2


def test_frames_over_show_and_list(session):
    names = [r["name"] for r in session.sql("SHOW SCHEMAS IN DATABASE ml").select('"name"').collect()]
    assert "CHURN" in names and "PUBLIC" in names
    young = session.sql("SHOW SCHEMAS LIKE 'CHURN'").filter("\"created_on\" > dateadd('day', -1, current_timestamp())").collect()
    assert [r["name"] for r in young] == ["CHURN"]
    assert session.sql("LIST @~").count() >= 0


def test_operations_on_frames(session):
    people = session.create_dataframe([[1, "a", 2.5], [2, "b", None], [3, "b", 1.5]], schema=["id", "kind", "score"])
    assert people.columns == ["ID", "KIND", "SCORE"]
    assert [r["ID"] for r in people.filter(f.col("kind") == "b").sort(f.col("id").desc()).collect()] == [3, 2]
    grouped = people.group_by("kind").agg(f.sum("id").alias("total"), f.count("score").alias("scores")).sort("kind").collect()
    assert [tuple(r) for r in grouped] == [("a", 1, 1), ("b", 5, 1)]
    joined = people.join(session.create_dataframe([["a", "first"]], schema=["kind", "word"]), "kind").select("id", "word").collect()
    assert [tuple(r) for r in joined] == [(1, "first")]
    assert people.with_column("twice", people["id"] * 2).select("twice").limit(1).collect()[0][0] == 2
    assert people.union_all(people).distinct().count() == 3
    assert people.select(f.max("score")).collect()[0][0] == 2.5
    assert people.drop("score").columns == ["ID", "KIND"]


def test_values_of_every_type_go_there_and_back(session):
    row = [7, decimal.Decimal("1.50"), 2.5, "it's \\ ☃", True, datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4, 5, 678000),
           datetime.time(12, 13, 14), b"\x00\xff", None]
    back = session.create_dataframe([row], schema=[f"c{i}" for i in range(len(row))]).collect()[0]
    assert list(back)[:8] == row[:8] and bytes(back[8]) == row[8] and back[9] is None


def test_a_schema_is_kept(session):
    schema = StructType([StructField("N", IntegerType()), StructField("T", StringType())])
    frame = session.create_dataframe([[1, None]], schema=schema)
    assert [c.name for c in frame.schema.fields] == ["N", "T"] and frame.collect()[0]["T"] is None


def test_many_rows(session):
    frame = session.range(100_000).with_column("twice", f.col("id") * 2)
    assert frame.count() == 100_000
    assert sum(r["TWICE"] for r in frame.to_local_iterator()) == 100_000 * 99_999


def test_pandas(session):
    frame = session.sql("SELECT column1 AS n, column2 AS t FROM VALUES (1, 'a'), (2, NULL)").to_pandas()
    assert frame["N"].dtype == "int64" or frame["N"].dtype == "int8"
    assert frame["T"].tolist() == ["a", None]
    batches = list(session.range(60_000).to_pandas_batches())
    assert len(batches) > 1 and sum(len(b) for b in batches) == 60_000
    # Snowpark keeps the quotes of the columns of SHOW.
    assert session.sql("SHOW SCHEMAS LIKE 'CHURN'").to_pandas()['"name"'].tolist() == ["CHURN"]
    assert session.sql("SELECT 1 AS a WHERE FALSE").to_pandas().empty


def test_arrow(session):
    assert session.sql("SELECT 1 AS a, 'x' AS b").to_arrow().to_pydict() == {"A": [1], "B": ["x"]}


def test_the_data_connector_of_job_payloads(session):
    from snowflake.ml.data import DataConnector

    frame = session.sql("SELECT SEQ8() AS n, n * 0.5::FLOAT AS half, 'row ' || n AS t FROM TABLE(GENERATOR(ROWCOUNT => 30000))")
    loaded = DataConnector.from_dataframe(frame).to_pandas()
    assert isinstance(loaded, pd.DataFrame) and len(loaded) == 30_000
    assert loaded["N"].sum() == 30_000 * 29_999 // 2 and loaded["HALF"].dtype == "float64" and loaded["T"].iloc[-1] == "row 29999"
    taken = DataConnector.from_dataframe(frame).to_pandas(limit=10)
    assert len(taken) == 10


def test_asynchronous_jobs(session):
    job = session.sql("SELECT 'later' AS a, SYSTEM$WAIT(1)").collect_nowait()
    assert job.query_id
    assert job.result()[0]["A"] == "later" and job.is_done()
    job = session.sql("SELECT SYSTEM$WAIT(60)").collect_nowait()
    job.cancel()
    with pytest.raises(Exception):
        job.result()
    again = session.create_async_job(session.sql("SELECT 5 AS a").collect_nowait().query_id)
    assert again.result()[0]["A"] == 5


def test_errors(session):
    for text, number in (("SELECT foo", 904), ("SELECT * FROM no_such", 2003), ("SELEC", 1003), ("CALL SYSTEM$NO_SUCH()", 2140)):
        with pytest.raises(SnowparkSQLException) as caught:
            session.sql(text).collect()
        assert caught.value.sql_error_code == number, caught.value
        assert caught.value.sfqid


def test_query_tags(session):
    session.query_tag = "a 'tag'"
    assert session.sql("SHOW PARAMETERS LIKE 'QUERY_TAG' IN SESSION").collect()[0]["value"] == "a 'tag'"
    session.append_query_tag("more")
    assert session.query_tag == "a 'tag',more"
    session.query_tag = None
    assert session.sql("SHOW PARAMETERS LIKE 'QUERY_TAG' IN SESSION").collect()[0]["value"] == ""


def test_files(session, tmp_path):
    session.sql("CREATE OR REPLACE TEMPORARY STAGE sp_files ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").collect()
    for name in ("a b.txt", "c.txt"):
        (tmp_path / name).write_text("text of " + name)
    rows = session.file.put(str(tmp_path / "*.txt"), "@sp_files/dir", auto_compress=False, overwrite=True)
    assert sorted(r.target for r in rows) == ["a b.txt", "c.txt"]
    out = tmp_path / "out"
    got = session.file.get("@sp_files/dir", str(out))
    assert sorted(r.file for r in got) and (out / "a b.txt").read_text() == "text of a b.txt"
    session.file.put_stream(io.BytesIO(b"streamed"), "@sp_files/s/data.bin", auto_compress=False)
    assert session.file.get_stream("@sp_files/s/data.bin").read() == b"streamed"
    with pytest.raises(OperationalError, match="the file does not exist"):
        session.file.get("@sp_files/none", str(out))
    assert session.file.get("@sp_files/dir", str(tmp_path / "some"), pattern=".*c[.]txt")[0].file.endswith("c.txt")


def test_threads_share_a_session(session):
    found, lock = {}, threading.Lock()

    def one(n):
        value = session.sql(f"SELECT {n} AS n, SYSTEM$WAIT(100, 'MILLISECONDS')").collect()[0]["N"]
        with lock:
            found[n] = value

    threads = [threading.Thread(target=one, args=(n,)) for n in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == {n: n for n in range(12)}


def test_temporary_objects_end_with_the_session(door):
    s = door.session("ADMIN", database="ML", schema="CHURN")
    s.sql("CREATE TEMPORARY STAGE sp_short").collect()
    assert len(s.sql("SHOW STAGES LIKE 'sp_short'").collect()) == 1
    s.close()
    assert door.rows("ADMIN", "SHOW STAGES LIKE 'sp_short' IN SCHEMA ml.churn") == []


def test_a_session_over_a_connection(door):
    connection = door.connect("dan")
    s = Session.builder.configs({"connection": connection}).create()
    assert s.sql("SELECT CURRENT_ROLE()").collect()[0][0] == "DATA_SCIENTIST"
    s.close()
