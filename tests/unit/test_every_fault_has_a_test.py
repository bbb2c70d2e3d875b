"""The thirty-five faults a door gateway must survive: each is named by a test that makes it happen.

Fault 32 (two gateways) is only half there: two on one state folder are kept apart by the journal's lock; a
lease between machines comes with several gateways.
"""

import re
from pathlib import Path

FAULTS = range(1, 36)


def test_every_fault_is_named_by_a_test() -> None:
    named: set[int] = set()
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        for name in re.findall(r"def (test_\w*faults?_\w+)", path.read_text("utf-8")):
            first = re.search(r"faults?_(\d+)(?:_and_(\d+))?", name)
            named |= {int(n) for n in first.groups() if n} if first else set()
    assert sorted(set(FAULTS) - named) == []
