"""Sealing without ciphers: a box is a ticket, and what is in it stays in this object's memory."""

import secrets

from gateway.domain.enrolment import Purpose
from gateway.domain.errors import SealBroken
from gateway.domain.ids import ModelId, PersonId


class FakeSealer:
    def __init__(self) -> None:
        self._keys: dict[bytes, PersonId] = {}
        self._boxes: dict[bytes, tuple] = {}

    def new_key(self, person_id: PersonId) -> bytes:
        key = secrets.token_bytes(32)
        self._keys[key] = person_id
        return key

    def seal(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, plain: bytes) -> bytes:
        return self.seal_as(wrapped_key, person_id, Purpose.TEMPLATE, model_id, plain)

    def open(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, sealed: bytes) -> bytes:
        return self.open_as(wrapped_key, person_id, Purpose.TEMPLATE, model_id, sealed)

    def seal_as(
        self, wrapped_key: bytes, person_id: PersonId, purpose: Purpose, label: str, plain: bytes
    ) -> bytes:
        self._check(wrapped_key, person_id)
        ticket = secrets.token_bytes(16)
        self._boxes[ticket] = (wrapped_key, person_id, purpose, label, plain)
        return ticket

    def open_as(
        self, wrapped_key: bytes, person_id: PersonId, purpose: Purpose, label: str, sealed: bytes
    ) -> bytes:
        self._check(wrapped_key, person_id)
        *bound, plain = self._boxes.get(sealed, (b"",))
        if bound != [wrapped_key, person_id, purpose, label]:
            raise SealBroken("another key, person, purpose or model, or altered")
        return plain

    def _check(self, wrapped_key: bytes, person_id: PersonId) -> None:
        if self._keys.get(wrapped_key) != person_id:
            raise SealBroken("not this person's key")
