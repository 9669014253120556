# SPDX-License-Identifier: Apache-2.0
"""Reads the output of `go test -json`, prints the output of what failed or was skipped, and the counts. Both are failures."""
import collections
import json
import sys

outputs = collections.defaultdict(list)
counts = collections.Counter()
failed = []
for line in open(sys.argv[1], encoding="utf-8"):
    try:
        event = json.loads(line)
    except ValueError:
        print(line, end="")
        continue
    key = (event.get("Package", event.get("ImportPath", "")), event.get("Test", ""))
    if event["Action"] in ("output", "build-output"):
        outputs[key].append(event["Output"])
    elif event["Action"] in ("pass", "fail", "skip") and key[1]:
        counts[event["Action"]] += 1
    if event["Action"] in ("fail", "build-fail"):
        failed.append(key)
    if event["Action"] == "skip" and key[1]:
        print("skipped %s %s: %s" % (*key, "".join(outputs[key]).strip()))
for key in failed:
    print("FAILED %s %s\n%s" % (*key, "".join(outputs[key])))
print("%d passed, %d failed, %d skipped" % (counts["pass"], counts["fail"], counts["skip"]))
sys.exit(bool(failed or counts["skip"]))
