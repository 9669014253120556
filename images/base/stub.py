#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write a wheel that has metadata and no files: stub.py NAME VERSION REQUIREMENT DIRECTORY.

It lets a distribution satisfy requirements on another name. The requirement says in the open what really does the
work, so nothing is hidden from pip, from a bill of materials or from a scanner.
"""
import base64
import hashlib
import sys
import zipfile


def record(path, text):
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(text.encode())}\n"


def main(name, version, requirement, directory):
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"Summary: Stands for {name}; {requirement} has the files.\nRequires-Dist: {requirement}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: stub.py\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(record(p, t) for p, t in files.items()) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(f"{directory}/{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)


if __name__ == "__main__":
    main(*sys.argv[1:])
