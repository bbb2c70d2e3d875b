"""A wrapped key opens as what it is, under the key it names, and as nothing else."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import SealBroken
from gateway.domain.keys import UNNAMED, WrappedKey
from gateway.security import boxes
from gateway.security.key_text import Contents
from gateway.security.keyring import KeyPlace, KeyRing
from gateway.security.master_key import MasterKey
from gateway.security.wrapping import (
    KEY_BYTES,
    NAMELESS,
    PERSON,
    SITE,
    KeyWrapping,
    binding,
    master_of,
    unwrap,
    wrap,
)

A, B, C = (MasterKey(bytes([i] * 32)) for i in range(3))


class Several:
    """Keys without a file."""

    def __init__(self, *keys: MasterKey) -> None:
        self.keys = keys

    def wrapping(self) -> MasterKey:
        return self.keys[0]

    def find(self, key_id: str) -> MasterKey | None:
        return next((k for k in self.keys if k.key_id == key_id), None)

    def every(self) -> tuple[MasterKey, ...]:
        return self.keys


def nameless(key: MasterKey, kind: str, name: str, plain: bytes) -> bytes:
    return boxes.seal(NAMELESS, AESGCM(key.reveal()), plain, binding(NAMELESS, kind, name))


@given(plain=st.binary(min_size=1, max_size=64), name=st.text(max_size=40))
def test_what_is_wrapped_opens_under_its_own_name_and_says_by_which_key(plain: bytes, name: str) -> None:
    box = wrap(A, PERSON, name, plain)
    assert master_of(box) == A.key_id
    assert unwrap(Several(B, A), PERSON, name, box) == plain
    assert plain not in box or len(plain) < 4


@pytest.mark.parametrize(("kind", "name"), [(SITE, "one"), (PERSON, "two"), (PERSON, "one\0"), ("", "one")])
def test_it_opens_as_nothing_else(kind: str, name: str) -> None:
    box = wrap(A, PERSON, "one", b"k" * 32)
    with pytest.raises(SealBroken):
        unwrap(A, kind, name, box)


@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_no_bit_of_it_can_be_changed(at: int, bit: int) -> None:
    box = bytearray(wrap(A, PERSON, "one", b"k" * 32))
    box[at % len(box)] ^= 1 << bit
    with pytest.raises(SealBroken):
        unwrap(Several(A, B), PERSON, "one", bytes(box))


@given(cut=st.integers(0, 68))
def test_no_part_of_it_opens(cut: int) -> None:
    with pytest.raises(SealBroken):
        unwrap(A, PERSON, "one", wrap(A, PERSON, "one", b"k" * 32)[:cut])


def test_a_key_that_is_not_here_is_named() -> None:
    with pytest.raises(SealBroken, match=A.key_id) as told:
        unwrap(Several(B, C), PERSON, "one", wrap(A, PERSON, "one", b"k" * 32))
    assert told.value.code == "master_key_unknown"


def test_the_name_on_it_is_bound_into_it() -> None:
    """A box that says it is under B, wrapped by A, is no box of B's nor of A's."""
    box = wrap(A, PERSON, "one", b"k" * 32)
    forged = box[:1] + bytes.fromhex(B.key_id) + box[9:]
    with pytest.raises(SealBroken):
        unwrap(Several(A, B), PERSON, "one", forged)


def test_a_nameless_one_is_tried_with_every_key() -> None:
    box = nameless(B, PERSON, "one", b"k" * 32)
    assert master_of(box) == UNNAMED
    assert unwrap(Several(A, C, B), PERSON, "one", box) == b"k" * 32
    with pytest.raises(SealBroken):
        unwrap(Several(A, C), PERSON, "one", box)
    with pytest.raises(SealBroken):
        unwrap(B, PERSON, "two", box)


@pytest.mark.parametrize("before", [nameless, wrap])
def test_wrapping_anew_keeps_the_key_itself(before) -> None:
    old = before(B, PERSON, "one", b"k" * 32)
    wrapping = KeyWrapping(Several(A, B))
    new = wrapping.rewrap(WrappedKey(kind=PERSON, name="one", wrapped=old))
    assert master_of(new) == A.key_id
    assert unwrap(A, PERSON, "one", new) == b"k" * 32
    wrapping.check(WrappedKey(kind=PERSON, name="one", wrapped=new))


def test_what_does_not_open_is_not_wrapped_anew() -> None:
    box = WrappedKey(kind=PERSON, name="one", wrapped=wrap(C, PERSON, "one", b"k" * 32))
    with pytest.raises(SealBroken):
        KeyWrapping(Several(A, B)).rewrap(box)
    with pytest.raises(SealBroken):
        KeyWrapping(Several(A, B)).check(box)


def test_every_new_key_is_another() -> None:
    made = {unwrap(A, SITE, "x", KeyWrapping(A).new(SITE, "x")) for _ in range(50)}
    assert len(made) == 50
    assert {len(key) for key in made} == {KEY_BYTES}


def test_a_name_tells_nothing_of_the_key_and_nothing_shows_it() -> None:
    secret = bytes(range(32))
    key = MasterKey(secret)
    assert key.key_id not in secret.hex()
    ring = KeyRing(KeyPlace(path=None), Contents(key), ())  # type: ignore[arg-type]
    for shown in (repr(key), repr(Contents(key)), repr(ring), repr(KeyWrapping(ring))):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
