"""AES-256-GCM sealing under per-person keys.

What a box is bound to goes in as additional data, so a box moved to another person, model or format does not
open.
"""

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.ids import ModelId, PersonId
from gateway.security import boxes
from gateway.security.wrapping import KEY_BYTES, PERSON, Keys, unwrap, wrap

FORMAT = 1
"""Of a sealed template."""


@dataclass(frozen=True, slots=True)
class AesGcmSealer:
    """``ports.Sealer``. The person's key is itself sealed under the master key: destroying it erases them."""

    master: Keys

    def new_key(self, person_id: PersonId) -> bytes:
        """A fresh person key, wrapped."""
        return wrap(self.master, PERSON, person_id, secrets.token_bytes(KEY_BYTES))

    def seal(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, plain: bytes) -> bytes:
        """Seal bytes for one person and model."""
        cipher = self._cipher(wrapped_key, person_id)
        return boxes.seal(FORMAT, cipher, plain, _template_binding(person_id, model_id))

    def open(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, sealed: bytes) -> bytes:
        """Open sealed bytes. Raises SealBroken."""
        cipher = self._cipher(wrapped_key, person_id)
        return boxes.open_box(FORMAT, cipher, sealed, _template_binding(person_id, model_id))

    # Ciphers go from hand to hand, not keys: a stack trace may show the variables of every frame.

    def _cipher(self, wrapped_key: bytes, person_id: PersonId) -> AESGCM:
        return AESGCM(unwrap(self.master, PERSON, person_id, wrapped_key))


def _template_binding(person_id: PersonId, model_id: ModelId) -> bytes:
    return boxes.bind(b"template", bytes([FORMAT]), person_id.encode(), model_id.encode())
