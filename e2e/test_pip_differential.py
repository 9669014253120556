# SPDX-License-Identifier: Apache-2.0
"""A thousand random Python environments per interpreter, judged by Firn and by the real pip check; pip_differential.py runs more.

FIRN_TEST_PYTHONS names interpreters beside this one, separated by spaces. One before Python 3.11 lets pip look through pkg_resources.
"""
import collections
import os
import sys

import pip_differential
import pytest

COUNT = 1000


@pytest.mark.parametrize("python", [sys.executable, *os.environ.get("FIRN_TEST_PYTHONS", "").split()])
def test_random_environments_against_real_pips(python, capsys):
    seen = collections.Counter(pip_differential.run(COUNT, 20261123, [python], pip_differential.PIPS))
    with capsys.disabled():
        print(f"\n{python}: {COUNT} environments, {len(pip_differential.PIPS)} pips: {dict(seen)}")
    assert seen["different"] == 0
    assert seen["same"] > 0.95 * COUNT and seen["lines"] > COUNT and 0.5 * COUNT < seen["broken"] < COUNT
