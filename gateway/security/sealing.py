"""AES-256-GCM sealing under per-person keys.

What a box is bound to goes in as additional data, so a box moved to another person, model or format does not
open.
"""

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.enrolment import Purpose
from gateway.domain.ids import ModelId, PersonId
from gateway.security import boxes
from gateway.security.wrapping import KEY_BYTES, PERSON, Keys, unwrap, wrap

FORMAT = 1
"""Of what is sealed under a person's key."""


@dataclass(frozen=True, slots=True)
class AesGcmSealer:
    """``ports.Sealer``. The person's key is itself sealed under the master key: destroying it erases them."""

    master: Keys

    def new_key(self, person_id: PersonId) -> bytes:
        """A fresh person key, wrapped."""
        return wrap(self.master, PERSON, person_id, secrets.token_bytes(KEY_BYTES))

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
        cipher = self._cipher(wrapped_key, person_id)
        return boxes.seal(FORMAT, cipher, plain, _binding(person_id, purpose, label))

    def open_as(
        self, wrapped_key: bytes, person_id: PersonId, purpose: Purpose, label: str, sealed: bytes
    ) -> bytes:
        """Open what ``seal_as`` sealed. Raises SealBroken."""
        cipher = self._cipher(wrapped_key, person_id)
        return boxes.open_box(FORMAT, cipher, sealed, _binding(person_id, purpose, label))

    # Ciphers go from hand to hand, not keys: a stack trace may show the variables of every frame.

    def _cipher(self, wrapped_key: bytes, person_id: PersonId) -> AESGCM:
        return AESGCM(unwrap(self.master, PERSON, person_id, wrapped_key))


def _binding(person_id: PersonId, purpose: Purpose, label: str) -> bytes:
    """The purpose stands first: templates sealed before there were others are bound the same way."""
    return boxes.bind(purpose.value.encode(), bytes([FORMAT]), person_id.encode(), label.encode())
