"""What every sealer keeps to."""

from abc import ABC, abstractmethod
from uuid import uuid4

import pytest

from gateway.domain.errors import SealBroken
from gateway.domain.ids import ModelId, PersonId
from gateway.ports import Sealer
from gateway.security.master_key import MasterKey
from gateway.security.sealing import AesGcmSealer
from tests.fakes.sealer import FakeSealer

ADA, BOB = PersonId(str(uuid4())), PersonId(str(uuid4()))
MODEL, OTHER = ModelId("sface:1"), ModelId("sface:2")
PLAIN = b"float32 of a face" * 30


class SealerContract(ABC):
    """Subclass it and give the fixture; the tests are inherited."""

    @pytest.fixture
    @abstractmethod
    def sealer(self) -> Sealer: ...

    @pytest.mark.parametrize("plain", [b"", b"x", PLAIN])
    def test_opens_what_it_sealed(self, sealer: Sealer, plain: bytes) -> None:
        key = sealer.new_key(ADA)
        assert sealer.open(key, ADA, MODEL, sealer.seal(key, ADA, MODEL, plain)) == plain

    def test_shows_nothing_and_never_looks_the_same(self, sealer: Sealer) -> None:
        key = sealer.new_key(ADA)
        boxes = {sealer.seal(key, ADA, MODEL, PLAIN) for _ in range(20)}
        assert len(boxes) == 20
        assert not any(PLAIN[:8] in box for box in boxes)
        assert len({sealer.new_key(ADA) for _ in range(20)}) == 20

    def test_opens_for_this_person_and_model_only(self, sealer: Sealer) -> None:
        key, other = sealer.new_key(ADA), sealer.new_key(ADA)
        box = sealer.seal(key, ADA, MODEL, PLAIN)
        for wrong in (
            (key, BOB, MODEL),
            (key, ADA, OTHER),
            (other, ADA, MODEL),
            (sealer.new_key(BOB), BOB, MODEL),
        ):
            with pytest.raises(SealBroken):
                sealer.open(*wrong, box)

    def test_a_key_serves_its_person_only(self, sealer: Sealer) -> None:
        with pytest.raises(SealBroken):
            sealer.seal(sealer.new_key(ADA), BOB, MODEL, PLAIN)

    def test_altered_or_cut_off_does_not_open(self, sealer: Sealer) -> None:
        key = sealer.new_key(ADA)
        box = sealer.seal(key, ADA, MODEL, PLAIN)
        for i in range(len(box)):
            with pytest.raises(SealBroken):
                sealer.open(key, ADA, MODEL, box[:i] + bytes([box[i] ^ 1]) + box[i + 1 :])
        for bad in (b"", box[:5], box[:-1], box + b"\0"):
            with pytest.raises(SealBroken):
                sealer.open(key, ADA, MODEL, bad)

    def test_a_destroyed_or_altered_key_opens_nothing(self, sealer: Sealer) -> None:
        key = sealer.new_key(ADA)
        box = sealer.seal(key, ADA, MODEL, PLAIN)
        for bad in (b"", key[:-1], bytes([key[0] ^ 1]) + key[1:], key[:-1] + bytes([key[-1] ^ 1])):
            with pytest.raises(SealBroken):
                sealer.open(bad, ADA, MODEL, box)


class TestFakeSealer(SealerContract):
    @pytest.fixture
    def sealer(self) -> Sealer:
        return FakeSealer()


class TestAesGcmSealer(SealerContract):
    @pytest.fixture
    def sealer(self) -> Sealer:
        return AesGcmSealer(MasterKey(bytes(range(32))))
