"""A receipt verifies offline, and any altered byte fails."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.consent import Erased
from gateway.domain.errors import InvalidInput
from gateway.domain.ids import EventId, GatewayId, PersonId
from gateway.domain.receipts import Receipt, taken_apart
from gateway.security.receipts import Ed25519Receipts, holds, key_id, pem, read_public
from tests.fakes.site_keys import FakeSiteKeys

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
"""RFC 8032 §7.1, test 1."""


async def receipt(**more: object) -> bytes:
    key = await Ed25519Receipts(FakeSiteKeys({"receipts": SEED})).key()
    facts: dict = {
        "erased": Erased(
            person_id=PersonId("0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11"), counts={"keys": 1, "templates": 3}
        ),
        "erased_at": datetime(2026, 3, 1, 8, 0, tzinfo=UTC),
        "by": "account:7",
        "gateway_id": GatewayId("gateway-1"),
        "event_id": EventId("0195500e-0000-7000-8000-000000000000"),
        "key": key.id,
    }
    stated = Receipt(**facts | more)
    return stated.signed(key.sign(stated.statement()))


def verified(data: bytes, public: bytes = PUBLIC) -> bool:
    try:
        statement, signature, _ = taken_apart(data)
    except InvalidInput as error:
        return error.code != "bad_receipt"
    return holds(public, statement, signature)


async def test_the_key_is_the_one_the_standard_makes_of_the_seed():
    key = await Ed25519Receipts(FakeSiteKeys({"receipts": SEED})).key()
    assert key.public == PUBLIC
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a")
    assert key.id == key_id(PUBLIC)


async def test_a_receipt_holds_with_the_public_key_alone():
    data = await receipt()
    assert verified(data)
    _, _, said = taken_apart(data)
    assert said["destroyed"] == {"keys": 1, "templates": 3}
    assert said["erased_at"] == "2026-03-01T08:00:00.000+00:00"


async def test_every_single_byte_counts():
    data = await receipt()
    for place in range(len(data)):
        for other in {data[place] ^ 1, data[place] ^ 0x20, 0x20, 0x30, 0xFF} - {data[place]}:
            altered = data[:place] + bytes([other]) + data[place + 1 :]
            assert not verified(altered), (place, bytes([other]))
        assert not verified(data[:place] + data[place + 1 :]), place
        assert not verified(data[:place] + b" " + data[place:]), place
    for more in (b"\n", b" ", b"{}", b"\0"):
        assert not verified(data + more)


async def test_another_key_does_not_hold():
    assert not verified(await receipt(), (await Ed25519Receipts(FakeSiteKeys()).key()).public)


async def test_the_spare_bits_of_the_signatures_last_letter_count():
    data = await receipt()
    end = data.index(b'=="')
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for letter in letters.replace(data[end - 1 : end], b""):
        assert not verified(data[: end - 1] + bytes([letter]) + data[end:])


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_nothing_else_is_a_receipt(data: bytes):
    assert not verified(data)


@pytest.mark.parametrize(
    "data",
    [b"[]", b"null", b"{}", b'{"signature":7}', b'{"a":NaN,"signature":"QUJD"}', b"[" * 9000, b"1" * 5000],
)
def test_json_that_is_no_receipt_is_refused(data: bytes):
    assert not verified(data)


async def test_a_public_key_is_read_as_pem_and_as_base64():
    assert read_public(pem(PUBLIC).encode()) == PUBLIC
    assert read_public(b"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n") == PUBLIC


@pytest.mark.parametrize(
    "text", [b"", b"x", b"AAAA", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff\xfe"]
)
def test_what_is_no_public_key_is_refused(text: bytes):
    with pytest.raises(InvalidInput) as refused:
        read_public(text)
    assert refused.value.code == "bad_key"
