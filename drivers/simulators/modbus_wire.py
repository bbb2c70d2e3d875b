"""Frames of a simulated Modbus endpoint: MBAP over TCP, or RTU over whatever carries bytes."""

import asyncio
import struct
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from drivers.simulators.modbus_faults import Fault, FaultKind

_HEAD: Final = struct.Struct(">HHHB")
Framing = Literal["tcp", "rtu"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came. ``transaction`` is 0 on RTU."""

    transaction: int
    unit: int
    pdu: bytes


class Wire(Protocol):
    """Reads requests and frames replies."""

    async def request(self, reader: asyncio.StreamReader) -> Asked | None:
        """The next request; None when the stream makes no sense any more. Raises IncompleteReadError."""
        ...

    def frame(self, asked: Asked, reply: bytes, fault: Fault | None = None) -> bytes:
        """The reply's bytes, with what the fault puts wrong in the frame."""
        ...


class Mbap:
    """Modbus TCP."""

    async def request(self, reader: asyncio.StreamReader) -> Asked | None:
        """See Wire."""
        transaction, protocol, length, unit = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if protocol != 0 or not 2 <= length <= 254:
            return None
        return Asked(transaction, unit, await reader.readexactly(length - 1))

    def frame(self, asked: Asked, reply: bytes, fault: Fault | None = None) -> bytes:
        """See Wire."""
        kind = fault.kind if fault else None
        transaction = asked.transaction + (kind is FaultKind.WRONG_TRANSACTION)
        unit = asked.unit + (kind is FaultKind.WRONG_UNIT)
        protocol = 7 if kind is FaultKind.WRONG_PROTOCOL else 0
        return _HEAD.pack(transaction & 0xFFFF, protocol, len(reply) + 1, unit & 0xFF) + reply


class Rtu:
    """Modbus RTU. A frame whose checksum is wrong is passed over in silence, byte by byte."""

    def __init__(self) -> None:
        self._held = b""

    async def request(self, reader: asyncio.StreamReader) -> Asked | None:
        """See Wire."""
        while True:
            length = _length(self._held)
            while length is None or len(self._held) < length:
                self._held += await reader.readexactly(1)
                length = _length(self._held)
            frame, body = self._held[:length], self._held[: length - 2]
            if crc16(body) == struct.unpack("<H", frame[-2:])[0]:
                self._held = self._held[length:]
                return Asked(0, body[0], body[1:])
            self._held = self._held[1:]

    def frame(self, asked: Asked, reply: bytes, fault: Fault | None = None) -> bytes:
        """See Wire."""
        wrong = fault is not None and fault.kind is FaultKind.WRONG_UNIT
        body = bytes([asked.unit + wrong & 0xFF]) + reply
        return body + struct.pack("<H", crc16(body))


def _length(held: bytes) -> int | None:
    """How long the request is that begins here; None while that cannot be told."""
    if len(held) < 2:
        return None
    if held[1] in {15, 16}:
        return None if len(held) < 7 else 9 + held[6]
    return 8


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS (Modbus over Serial Line V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc
