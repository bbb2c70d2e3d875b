"""AES-256-GCM sealing under per-person keys (NIST SP 800-38D; random 96-bit nonces).

A sealed box is ``version byte || nonce (12) || ciphertext and tag``. What it is bound to goes in as
additional data, so a box moved to another person, model or format does not open.
"""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.enrolment import Purpose
from gateway.domain.errors import SealBroken
from gateway.domain.ids import ModelId, PersonId
from gateway.security.master_key import MasterKey

FORMAT = 1
"""Of what is sealed under a person's key."""
KEY_VERSION = 1
"""Of a wrapped person key."""
_NONCE = 12
_TAG = 16


@dataclass(frozen=True, slots=True)
class AesGcmSealer:
    """``ports.Sealer``. The person's key is itself sealed under the master key: destroying it erases them."""

    master: MasterKey

    def new_key(self, person_id: PersonId) -> bytes:
        """A fresh person key, wrapped."""
        return _seal(KEY_VERSION, self._master(), secrets.token_bytes(32), _key_binding(person_id))

    def seal(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, plain: bytes) -> bytes:
        """Seal a template for one person and model."""
        return self.seal_as(wrapped_key, person_id, Purpose.TEMPLATE, model_id, plain)

    def open(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, sealed: bytes) -> bytes:
        """Open a sealed template. Raises SealBroken."""
        return self.open_as(wrapped_key, person_id, Purpose.TEMPLATE, model_id, sealed)

    def seal_as(
        self, wrapped_key: bytes, person_id: PersonId, purpose: Purpose, label: str, plain: bytes
    ) -> bytes:
        """Seal bytes for one person, purpose and label of that purpose."""
        return _seal(FORMAT, self._cipher(wrapped_key, person_id), plain, _binding(person_id, purpose, label))

    def open_as(
        self, wrapped_key: bytes, person_id: PersonId, purpose: Purpose, label: str, sealed: bytes
    ) -> bytes:
        """Open what ``seal_as`` sealed. Raises SealBroken."""
        return _open(
            FORMAT, self._cipher(wrapped_key, person_id), sealed, _binding(person_id, purpose, label)
        )

    # Ciphers go from hand to hand, not keys: a stack trace may show the variables of every frame.

    def _master(self) -> AESGCM:
        return AESGCM(self.master.reveal())

    def _cipher(self, wrapped_key: bytes, person_id: PersonId) -> AESGCM:
        return AESGCM(self._key(wrapped_key, person_id))

    def _key(self, wrapped_key: bytes, person_id: PersonId) -> bytes:
        return _open(KEY_VERSION, self._master(), wrapped_key, _key_binding(person_id))


def _key_binding(person_id: PersonId) -> bytes:
    return _bind(b"person-key", bytes([KEY_VERSION]), person_id.encode())


def _binding(person_id: PersonId, purpose: Purpose, label: str) -> bytes:
    """The purpose stands first: templates sealed before there were others are bound the same way."""
    return _bind(purpose.value.encode(), bytes([FORMAT]), person_id.encode(), label.encode())


def _bind(*parts: bytes) -> bytes:
    """Length before each part: no two different lists give the same bytes."""
    return b"".join(len(p).to_bytes(4, "big") + p for p in parts)


def _seal(version: int, cipher: AESGCM, plain: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return bytes([version]) + nonce + cipher.encrypt(nonce, plain, bound_to)


def _open(version: int, cipher: AESGCM, sealed: bytes, bound_to: bytes) -> bytes:
    if len(sealed) < 1 + _NONCE + _TAG or sealed[0] != version:
        raise SealBroken("sealed data is cut off or of an unknown format")
    try:
        return cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], bound_to)
    except InvalidTag:
        raise SealBroken(
            "sealed data does not open: another key, person, purpose or model, or it was altered"
        ) from None
