"""What every copy of the roster keeps to: the fake, and the sealed file."""

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.domain.enrolment import SealedTemplate, StoredPerson
from gateway.domain.ids import AccessPointId, ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.roster_copy import KeptRoster
from gateway.ports import RosterCopy
from gateway.security.master_key import MasterKey
from gateway.security.roster_file import SealedRosterFile
from tests.fakes.roster_copy import FakeRosterCopy

MODEL = ModelId("sface:1")
MORNING = datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC)


def kept(version: int = 7, people: int = 2, confirmed_at: datetime = MORNING) -> KeptRoster:
    return KeptRoster(
        version=version,
        model_id=MODEL,
        confirmed_at=confirmed_at,
        people=[
            StoredPerson(
                person_id=PersonId(f"00000000-0000-4000-8000-{i:012}"),
                number=f"E{i}",
                name=f"Łucja Example {i}",
                status=PersonStatus.SUSPENDED if i else PersonStatus.ACTIVE,
                consented=True,
                access_points=frozenset({AccessPointId("main"), AccessPointId("gate")}),
                wrapped_key=bytes([2, i % 256]),
                templates=[SealedTemplate(model_id=MODEL, sealed=bytes([i % 256]) * 541, quality=0.5)],
                consent_until=MORNING + timedelta(days=i) if i else None,
            )
            for i in range(people)
        ],
    )


class RosterCopyContract(ABC):
    """Subclass it and give the fixture; the tests are inherited."""

    @pytest.fixture
    @abstractmethod
    def copy(self) -> RosterCopy: ...

    def test_there_is_none_at_first(self, copy: RosterCopy) -> None:
        assert copy.read() is None
        assert not copy.stale()

    def test_what_was_written_is_read_to_the_last_field(self, copy: RosterCopy) -> None:
        copy.write(kept())
        assert copy.read() == kept()

    def test_the_last_writing_counts(self, copy: RosterCopy) -> None:
        copy.write(kept(people=5))
        copy.write(kept(version=8, people=0))
        assert copy.read() == kept(version=8, people=0)

    def test_a_confirmation_moves_the_time_and_nothing_else(self, copy: RosterCopy) -> None:
        copy.write(kept())
        later = MORNING + timedelta(minutes=1)
        copy.confirm(later)
        assert copy.read() == replace(kept(), confirmed_at=later)

    def test_a_confirmation_of_an_earlier_writing_does_not_count_for_the_next(self, copy: RosterCopy) -> None:
        copy.write(kept())
        copy.confirm(MORNING + timedelta(hours=9))
        copy.write(kept(version=8, confirmed_at=MORNING + timedelta(hours=1)))
        assert copy.read() == kept(version=8, confirmed_at=MORNING + timedelta(hours=1))

    def test_a_confirmation_of_nothing_makes_nothing(self, copy: RosterCopy) -> None:
        copy.confirm(MORNING)
        assert copy.read() is None

    def test_what_was_removed_is_gone_and_may_be_removed_again(self, copy: RosterCopy) -> None:
        copy.write(kept())
        copy.remove()
        copy.remove()
        assert copy.read() is None
        copy.confirm(MORNING)
        assert copy.read() is None


class TestFakeRosterCopy(RosterCopyContract):
    @pytest.fixture
    def copy(self) -> FakeRosterCopy:
        return FakeRosterCopy()


class TestSealedRosterFile(RosterCopyContract):
    @pytest.fixture
    def copy(self, tmp_path: Path) -> SealedRosterFile:
        return SealedRosterFile(tmp_path, "gateway-1", MasterKey(bytes(32)))
