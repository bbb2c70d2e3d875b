"""Sealing without ciphers: a box is a ticket, and what is in it stays in this object's memory."""

import secrets

from gateway.domain.errors import SealBroken
from gateway.domain.ids import ModelId, PersonId


class FakeSealer:
    def __init__(self) -> None:
        self._keys: dict[bytes, PersonId] = {}
        self._boxes: dict[bytes, tuple[bytes, PersonId, ModelId, bytes]] = {}

    def new_key(self, person_id: PersonId) -> bytes:
        key = secrets.token_bytes(32)
        self._keys[key] = person_id
        return key

    def seal(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, plain: bytes) -> bytes:
        self._check(wrapped_key, person_id)
        ticket = secrets.token_bytes(16)
        self._boxes[ticket] = (wrapped_key, person_id, model_id, plain)
        return ticket

    def open(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, sealed: bytes) -> bytes:
        self._check(wrapped_key, person_id)
        key, owner, model, plain = self._boxes.get(sealed, (b"", PersonId(""), ModelId(""), b""))
        if (key, owner, model) != (wrapped_key, person_id, model_id):
            raise SealBroken("another key, person or model, or altered")
        return plain

    def _check(self, wrapped_key: bytes, person_id: PersonId) -> None:
        if self._keys.get(wrapped_key) != person_id:
            raise SealBroken("not this person's key")
