"""Identifiers, as distinct types so that one cannot stand for another."""

import secrets
from typing import NewType
from uuid import UUID

PersonId = NewType("PersonId", str)
"""Pseudonymous UUID text; the only name of a person in the ledger."""
AccessPointId = NewType("AccessPointId", str)
DoorId = NewType("DoorId", str)
"""A door or a turnstile: what one person at a time goes through, from either side."""
CameraId = NewType("CameraId", str)
DeviceId = NewType("DeviceId", str)
GatewayId = NewType("GatewayId", str)
GrantId = NewType("GrantId", str)
EventId = NewType("EventId", str)
ModelId = NewType("ModelId", str)
"""Name and digest of the weights that made an embedding: embeddings of two models never compare."""


def uuid7(unix_ms: int) -> str:
    """UUID version 7 (RFC 9562 §5.7) for a Unix time in milliseconds: sorts by time, 74 random bits."""
    rand = secrets.randbits(74)
    value = (
        (unix_ms & ((1 << 48) - 1)) << 80
        | 0x7 << 76
        | (rand >> 62) << 64
        | 0b10 << 62
        | rand & ((1 << 62) - 1)
    )
    return str(UUID(int=value))
