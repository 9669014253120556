# SPDX-License-Identifier: Apache-2.0
"""A few hundred random Python environments, judged by Firn and by the real pip check; pip_differential.py runs more."""
import collections
import sys

import pip_differential

COUNT = 400


def test_random_environments_against_real_pips(capsys):
    seen = collections.Counter(pip_differential.run(COUNT, 20261123, [sys.executable], pip_differential.PIPS))
    with capsys.disabled():
        print(f"\n{COUNT} environments, {len(pip_differential.PIPS)} pips: {dict(seen)}")
    assert seen["different"] == 0
    assert seen["same"] > 0.95 * COUNT and seen["lines"] > COUNT and 0.5 * COUNT < seen["broken"] < COUNT
