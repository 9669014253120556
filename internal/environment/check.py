# SPDX-License-Identifier: Apache-2.0
# The executed check of an image: run inside it, by digest, through its own entrypoint, with no network and a read-only root.
# The last line of output is one JSON object; what anything else prints comes before it and is shown to nobody.
import importlib
import json
import os
import platform
import queue
import subprocess
import sys
import time
import traceback

MARK = "firn-check:"
MODULES = {
    "snowflake-ml-python": ["snowflake.ml.jobs"],
    "snowflake-snowpark-python": ["snowflake.snowpark", "pandas"],
    "ray": ["ray"],
    "jupyter-server": ["jupyter_server"],
    "notebook": ["notebook"],
    "ipykernel": ["ipykernel"],
    "ipython": ["IPython"],
    "sqlparse": ["sqlparse"],
    "jinja2": ["jinja2"],
    "psutil": ["psutil"],
}
# What the start script of every released ML Jobs client passes to the head node.
# https://github.com/snowflakedb/snowflake-ml-python, snowflake/ml/jobs/_utils/scripts/start_mlruntime.sh
RAY = [
    "ray", "start", "--head", "--node-ip-address=127.0.0.1", "--port=12001", "--ray-client-server-port=10001",
    "--object-manager-port=12011", "--node-manager-port=12012", "--runtime-env-agent-port=12013",
    "--dashboard-agent-grpc-port=12014", "--dashboard-agent-listen-port=12015", "--min-worker-port=12031",
    "--max-worker-port=13000", "--include-dashboard=true", "--dashboard-host=0.0.0.0", "--dashboard-port=12003",
    "--dashboard-grpc-port=12002", "--metrics-export-port=11502", "--temp-dir=/tmp/ray", "--disable-usage-stats",
    '--resources={"node_tag:head":1}', "--help",
]


def reason(error):
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-1000:]


def imports():
    problems = {}
    for package, modules in MODULES.items():
        for module in modules:
            try:
                importlib.import_module(module)
            except BaseException as error:  # an import may raise anything, SystemExit too
                problems[package] = "import %s: %s" % (module, reason(error))
    return problems


def kernel():
    from jupyter_client.manager import KernelManager

    os.chdir("/tmp")
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        request = client.execute("1+1")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                message = client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == request and message["msg_type"] == "execute_result":
                answer = message["content"]["data"]["text/plain"]
                return "" if answer == "2" else "answered %s to 1+1" % answer
        return "did not answer 1+1 within 30 seconds"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def ray():
    done = subprocess.run(RAY, capture_output=True, text=True, timeout=60)
    text = (done.stderr or done.stdout).strip().splitlines()
    return "" if done.returncode == 0 else "ray start: " + (text[-1] if text else "exit code %d" % done.returncode)


def guarded(check):
    try:
        return check()
    except BaseException as error:
        return reason(error)


def main():
    report = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "machine": platform.machine(),
        "imports": imports(),
        "kernel": guarded(kernel),
        "ray": guarded(ray),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(1, ("\n" + MARK + json.dumps(report) + "\n").encode())


main()
