# SPDX-License-Identifier: Apache-2.0
"""The Python connector 5.x, whose core is new: what all versions do, and what only this one shows."""
import snowflake.connector

from connector import *  # noqa: F403
from connector import put


def test_this_is_version_5():
    assert snowflake.connector.__version__.startswith("5.")


def test_what_is_there_is_skipped(cursor, stage, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    assert [r[6] for r in put(cursor, f"{tmp_path}/*.txt", f"@{stage}")] == ["UPLOADED", "UPLOADED"]
    assert [r[6] for r in put(cursor, f"{tmp_path}/*.txt", f"@{stage}")] == ["SKIPPED", "SKIPPED"]
    assert [r[6] for r in put(cursor, f"{tmp_path}/*.txt", f"@{stage}", overwrite=True)] == ["UPLOADED", "UPLOADED"]
