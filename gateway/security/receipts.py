"""Receipts signed with the site's Ed25519 key (RFC 8032), and their check without the site."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from gateway.domain.errors import InvalidInput
from gateway.ports import SiteKeys

KEY_NAME = "receipts"
_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """``ports.SigningKey``."""

    private: Ed25519PrivateKey

    @property
    def id(self) -> str:
        """See ``key_id``."""
        return key_id(self.public)

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, statement: bytes) -> bytes:
        """64 bytes."""
        return self.private.sign(statement)


@dataclass(frozen=True, slots=True)
class Ed25519Receipts:
    """``ports.ReceiptSigner``. The site key is the seed; every gateway of a site signs with the same."""

    keys: SiteKeys

    async def key(self) -> Ed25519Key:
        """The key. Raises DatabaseUnavailable, SealBroken."""
        return Ed25519Key(Ed25519PrivateKey.from_private_bytes(await self.keys.key(KEY_NAME)))


def key_id(public: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def pem(public: bytes) -> str:
    """A public key as other programs read it (RFC 8410)."""
    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_public(text: bytes) -> bytes:
    """A public key from PEM, from the base64 of its 32 bytes, or from what the API answers with it.

    Raises InvalidInput (code "bad_key").
    """
    try:
        if text.lstrip().startswith(b"{"):
            text = str(json.loads(text)["public_key"]).encode()
        if b"-----BEGIN" in text:
            key = load_pem_public_key(text)
            if isinstance(key, Ed25519PublicKey):
                return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        else:
            raw = base64.b64decode(text.strip(), validate=True)
            if len(raw) == _LENGTH:
                return raw
    except (ValueError, KeyError, TypeError, binascii.Error):
        pass
    raise InvalidInput(
        "the key is no Ed25519 public key; give the PEM file or the base64 that the site publishes at "
        "/api/v1/privacy/receipt-key",
        code="bad_key",
    )


def holds(public: bytes, statement: bytes, signature: bytes) -> bool:
    """Whether the holder of the key signed exactly this."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, statement)
    except InvalidSignature:
        return False
    return True
