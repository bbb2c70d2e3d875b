"""Whether a copy may be believed: by its model and its age, to the microsecond."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.ids import ModelId
from gateway.domain.roster_copy import CLOCK_TOLERANCE, Doubt, KeptRoster, doubt

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODEL = ModelId("m:1")
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(0), None),
        (DAY, None),
        (DAY + TICK, Doubt.TOO_OLD),
        (400 * DAY, Doubt.TOO_OLD),
        (-CLOCK_TOLERANCE, None),
        (-CLOCK_TOLERANCE - TICK, Doubt.FROM_THE_FUTURE),
        (-400 * DAY, Doubt.FROM_THE_FUTURE),
    ],
)
def test_it_counts_for_so_long_and_never_from_the_future(age, expected):
    kept = KeptRoster(version=1, model_id=MODEL, confirmed_at=NOW - age, people=())
    assert doubt(kept, MODEL, NOW, DAY) is expected


def test_templates_of_another_model_are_of_no_use():
    kept = KeptRoster(version=1, model_id=ModelId("m:2"), confirmed_at=NOW, people=())
    assert doubt(kept, MODEL, NOW, DAY) is Doubt.OTHER_MODEL
