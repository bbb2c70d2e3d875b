"""Requests as bytes and bytes as replies: the part of a frame after its function code, FC01-06 and FC16."""

import struct
from dataclasses import dataclass

from drivers.modbus.frames import (
    READ_COILS,
    READ_DISCRETE_INPUTS,
    READ_HOLDING,
    READ_INPUT,
    WRITE_COIL,
    WRITE_WORD,
    WRITE_WORDS,
    ReadBits,
    ReadWords,
    Request,
    WriteCoil,
    WriteWord,
    WriteWords,
)

_PAIR = struct.Struct(">HH")
READS = frozenset({READ_COILS, READ_DISCRETE_INPUTS, READ_HOLDING, READ_INPUT})
ECHOES = frozenset({WRITE_COIL, WRITE_WORD, WRITE_WORDS})
KNOWN = READS | ECHOES


@dataclass(frozen=True, slots=True)
class Content:
    """What a reply says. All empty when its length is not what it says of itself."""

    bits: tuple[bool, ...] = ()
    """Padded to whole bytes, as on the wire."""
    words: tuple[int, ...] = ()
    echo: tuple[int, int] | None = None


def encode(request: Request) -> bytes:
    """The request after its function code. Raises ValueError for what does not fit into a frame."""
    match request:
        case ReadBits() | ReadWords():
            most = 2000 if isinstance(request, ReadBits) else 125
            if not 1 <= request.count <= most or request.address + request.count > 0x10000:
                raise ValueError(f"a read of {request.count} from address {request.address}")
            return _pair(request.address, request.count)
        case WriteCoil() | WriteWord():
            return _pair(request.address, request.value)
        case WriteWords():
            count = len(request.values)
            if not 1 <= count <= 123 or request.address + count > 0x10000:
                raise ValueError(f"a write of {count} registers to address {request.address}")
            return _pair(request.address, count) + struct.pack(f">B{count}H", 2 * count, *request.values)


def decode(function: int, data: bytes) -> Content:
    """A reply after its function code; never raises, and believes no length."""
    if function in ECHOES:
        return Content(echo=_PAIR.unpack(data)) if len(data) == _PAIR.size else Content()
    if function not in READS or not data or data[0] != len(data) - 1:
        return Content()
    if function in {READ_COILS, READ_DISCRETE_INPUTS}:
        return Content(bits=tuple(bool(byte >> i & 1) for byte in data[1:] for i in range(8)))
    if data[0] % 2:
        return Content()
    return Content(words=struct.unpack(f">{data[0] // 2}H", data[1:]))


def _pair(first: int, second: int) -> bytes:
    try:
        return _PAIR.pack(first, second)
    except struct.error as error:
        raise ValueError(f"{first} and {second} do not both fit into 16 bits") from error
