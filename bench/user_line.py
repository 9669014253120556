# SPDX-License-Identifier: Apache-2.0
"""Submits a job with the real ML Jobs client and tells when its first user line ran: user_line.py HOST:PORT RUNTIME_PATH"""
import json
import os
import sys
import tempfile
import time

os.environ["SNOWFLAKE_DISABLE_PLATFORM_DETECTION"] = "true"
from snowflake.ml import jobs  # noqa: E402
from snowflake.snowpark import Session  # noqa: E402

host, port = sys.argv[1].split(":")
session = Session.builder.configs({
    "account": "firn", "host": host, "port": int(port), "protocol": "http", "user": "ADMIN", "password": os.environ["FIRN_BENCH_PASSWORD"],
    "database": "BENCH", "schema": "S", "warehouse": "BENCH_WH"}).create()
with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as script:
    script.write("import time\nprint('user line at', time.time(), flush=True)\n")
begin = time.time()
job = jobs.submit_file(script.name, "bench_pool", stage_name="payload", runtime_environment=sys.argv[2], session=session)
submitted = time.time()
if job.wait(timeout=300) != "DONE":
    sys.exit(job.get_logs(verbose=True))
line = next(text for text in job.get_logs(verbose=True).splitlines() if text.startswith("user line at"))
user_line = float(line.split()[-1])
print(json.dumps({
    "user_line_ms": (user_line - submitted) * 1000,
    "phases_ms": {"upload and submit": (submitted - begin) * 1000, "submitted to first user line": (user_line - submitted) * 1000},
}))
session.close()
