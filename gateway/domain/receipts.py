"""The receipt of an erasure: what was destroyed, when, on whose order, signed by the site.

A receipt is one line of canonical JSON: UTF-8, sorted keys, no white space. The signature (Ed25519, RFC 8032)
is over the same line without its ``signature``. Only these bytes are the receipt: another spelling of the
same values is refused, so that no byte can be altered unnoticed.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.domain.consent import Erased
from gateway.domain.errors import InvalidInput
from gateway.domain.ids import EventId, GatewayId

FORMAT = "facegate-erasure-receipt/1"
LONGEST = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a receipt states."""

    erased: Erased
    erased_at: datetime
    by: str
    """An actor's id, or ``retention``."""
    gateway_id: GatewayId
    event_id: EventId
    """The ledger's event that records the erasure."""
    key: str
    """Which key signed: see ``security.receipts.key_id``."""

    def statement(self) -> bytes:
        """What is signed."""
        return _line(self._plain())

    def signed(self, signature: bytes) -> bytes:
        """The receipt as it is handed out."""
        return _line(self._plain() | {"signature": base64.b64encode(signature).decode()})

    def _plain(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "person": self.erased.person_id,
            "destroyed": dict(self.erased.counts),
            "erased_at": self.erased_at.astimezone(UTC).isoformat(timespec="milliseconds"),
            "by": self.by,
            "gateway": self.gateway_id,
            "event": self.event_id,
            "key": self.key,
        }


def taken_apart(receipt: bytes) -> tuple[bytes, bytes, Mapping[str, Any]]:
    """What was signed, the signature, and the values. Raises InvalidInput (code "bad_receipt")."""
    plain = _read(receipt)
    text = plain.pop("signature", None)
    signature = _signature(text)
    if _line(plain | {"signature": text}) != receipt or plain.get("format") != FORMAT or not signature:
        raise InvalidInput(
            "this is not a receipt as Facegate writes them; give the file exactly as it was handed out, "
            "without a line break at its end",
            code="bad_receipt",
        )
    return _line(plain), signature, plain


def _read(receipt: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(receipt) if len(receipt) <= LONGEST else None
    except (ValueError, RecursionError):
        plain = None
    return plain if isinstance(plain, dict) else {}


def _signature(text: object) -> bytes:
    """Empty for what is no base64, or another spelling of it: its last letter has spare bits."""
    try:
        signature = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (ValueError, binascii.Error):
        return b""
    return signature if base64.b64encode(signature).decode() == text else b""


def _line(plain: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except ValueError:  # a number or half a character that a receipt never holds
        return b""
