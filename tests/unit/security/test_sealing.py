"""Sealing: what the cipher promises for any face, person and model; and that no key is ever shown."""

import copy
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.enrolment import Purpose
from gateway.domain.errors import SealBroken
from gateway.domain.ids import ModelId, PersonId
from gateway.security.master_key import MasterKey
from gateway.security.sealing import AesGcmSealer
from gateway.security.wrapping import unwrap

KEY = bytes(range(7, 39))
OLD_KEY = (
    "017a0102cfaada20a84ef0612994c7b4e7e8d3b77c62e4660f2dfb676c55ea2547d61edb6547784415acccf7e2"
    "10c4dffbb63c4ef3d0b25207d4caed4c"
)
OLD_BOX = "0124ad4373d35edf2da030daa9ea93b228b4f81926432d8dcb61c411e990cd3621a72daf771262c04b0b4b5296"
SEALER = AesGcmSealer(MasterKey(KEY))

people = st.uuids().map(lambda u: PersonId(str(u)))
models = st.text(max_size=40).map(ModelId)
faces = st.binary(max_size=600)


@given(person=people, model=models, face=faces)
def test_opens_what_it_sealed_and_shows_none_of_it(person: PersonId, model: ModelId, face: bytes) -> None:
    key = SEALER.new_key(person)
    box = SEALER.seal(key, person, model, face)
    assert SEALER.open(key, person, model, box) == face
    assert len(box) == 1 + 12 + len(face) + 16
    if len(face) >= 8:
        assert face not in box


@given(face=faces, bit=st.integers(0, 1 << 16), in_key=st.booleans())
def test_no_changed_bit_opens(face: bytes, bit: int, in_key: bool) -> None:
    person, model = PersonId("0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11"), ModelId("sface:1")
    key = SEALER.new_key(person)
    box = SEALER.seal(key, person, model, face)
    changed = bytearray(key if in_key else box)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    given_key, given_box = (bytes(changed), box) if in_key else (key, bytes(changed))
    with pytest.raises(SealBroken):
        SEALER.open(given_key, person, model, given_box)


@given(person=people, other=people, model=models, wrong=models, face=faces)
def test_opens_for_its_person_and_model_only(
    person: PersonId, other: PersonId, model: ModelId, wrong: ModelId, face: bytes
) -> None:
    key = SEALER.new_key(person)
    box = SEALER.seal(key, person, model, face)
    for who, what in ((other, model), (person, wrong), (other, wrong)):
        if (who, what) != (person, model):
            with pytest.raises(SealBroken):
                SEALER.open(key, who, what, box)


@given(left=st.text(max_size=8), right=st.text(max_size=8), cut=st.integers(1, 7))
def test_no_letter_moves_from_the_person_to_the_model(left: str, right: str, cut: int) -> None:
    """Person and model are bound apart, not as one joined text."""
    person, model = PersonId(left + right[:cut]), ModelId(right[cut:])
    moved_person, moved_model = PersonId(left), ModelId(right)
    key = SEALER.new_key(person)
    box = SEALER.seal(key, person, model, b"face")
    if person != moved_person:
        with pytest.raises(SealBroken):
            SEALER.open(key, moved_person, moved_model, box)


@given(junk=st.binary(max_size=200))
def test_junk_does_not_open(junk: bytes) -> None:
    person, model = PersonId("p"), ModelId("m")
    with pytest.raises(SealBroken):
        SEALER.open(SEALER.new_key(person), person, model, junk)
    with pytest.raises(SealBroken):
        SEALER.seal(junk, person, model, b"face")


def test_a_template_is_no_key_and_a_key_no_template() -> None:
    """Both are boxes of the same shape; what they are for is bound in as well."""
    person, model = PersonId("p"), ModelId("m")
    key = SEALER.new_key(person)
    box = SEALER.seal(key, person, model, bytes(32))
    with pytest.raises(SealBroken):
        SEALER.open(box, person, model, box)
    with pytest.raises(SealBroken):
        SEALER.open(key, person, model, key)


def test_another_master_key_opens_nothing() -> None:
    person, model = PersonId("p"), ModelId("m")
    key = SEALER.new_key(person)
    box = SEALER.seal(key, person, model, b"face")
    with pytest.raises(SealBroken):
        AesGcmSealer(MasterKey(bytes(32))).open(key, person, model, box)


def test_nonces_do_not_repeat() -> None:
    person, model = PersonId("p"), ModelId("m")
    key = SEALER.new_key(person)
    nonces = {SEALER.seal(key, person, model, b"")[1:13] for _ in range(2000)}
    assert len(nonces) == 2000


def test_the_master_key_is_shown_nowhere() -> None:
    key = MasterKey(KEY)
    for text in (repr(key), str(key), f"{key!r}{key}", repr(SEALER), repr({"sealer": SEALER})):
        assert not shown(KEY, text)
    for hand_over in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not handed"):
            hand_over(key)


def test_no_key_is_in_a_stack_trace_that_shows_variables() -> None:
    """Many tools print them: rich, pytest, error trackers."""
    person, model = PersonId("p"), ModelId("m")
    wrapped = SEALER.new_key(person)
    own = unwrap(MasterKey(KEY), "person", person, wrapped)
    assert len(own) == 32
    for bad_key, bad_box in ((b"", b""), (b"x" * 61, b""), (wrapped, b""), (wrapped, b"\1" * 40)):
        with pytest.raises(SealBroken) as told:
            SEALER.open(bad_key, person, model, bad_box)
        text = trace(told.value)
        assert "open" in text
        assert not shown(KEY, text)
        assert not shown(own, text)


def trace(error: BaseException) -> str:
    """All frames with their variables, but for this test's own."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert frames.stack[0].name.startswith("test_")
    del frames.stack[0]
    return "".join(frames.format())


def shown(key: bytes, text: str) -> bool:
    """In any of the shapes bytes are printed in; tools cut long ones off, so the beginning will do."""
    start = key[:8]
    return any(s in text for s in (start.hex(), repr(start)[2:-1], str(list(start))[1:-1]))


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_none(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        MasterKey(bytes(length))


@given(person=people, label=st.text(max_size=40), plain=faces)
def test_what_is_sealed_for_one_purpose_opens_for_no_other(
    person: PersonId, label: str, plain: bytes
) -> None:
    key = SEALER.new_key(person)
    for purpose in Purpose:
        box = SEALER.seal_as(key, person, purpose, label, plain)
        assert SEALER.open_as(key, person, purpose, label, box) == plain
        for other in set(Purpose) - {purpose}:
            with pytest.raises(SealBroken):
                SEALER.open_as(key, person, other, label, box)
        with pytest.raises(SealBroken):
            SEALER.open_as(key, person, purpose, label + "x", box)


def test_a_template_sealed_before_there_were_purposes_still_opens() -> None:
    """Sealed by the first version under the master key of this file, and kept here."""
    person, model = PersonId("0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11"), ModelId("sface:1")
    key = bytes.fromhex(OLD_KEY)
    assert SEALER.open(key, person, model, bytes.fromhex(OLD_BOX)) == b"a face of before"
