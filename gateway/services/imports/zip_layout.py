"""The directory of a ZIP file, read without believing it (PKWARE APPNOTE 6.3.10). Blocking.

Python's own zipfile takes what a directory says as given. Here every number is held against every other and
against the file's length before anything is unpacked; what does not fit is refused with its reason.
"""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gateway.domain.errors import InvalidInput

MOST_ENTRIES = 40_000
MOST_BYTES = 4 * 10**9
"""Of an archive, packed or unpacked."""
MOST_DIRECTORY = 32_000_000
_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENTRY, _LOCAL = b"PK\x01\x02", b"PK\x03\x04"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_EXTRA, _UNICODE_PATH_EXTRA = 0x0001, 0x7075


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry as the directory has it."""

    number: int
    """Its place in the directory, from 1."""
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    unpacked: int
    offset: int
    """Of its local header."""
    mode: int
    """Unix file mode, 0 where the archive was not made on Unix."""
    extra: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Where the central directory is."""

    entries: int
    start: int
    size: int


def refuse(code: str, message: str) -> InvalidInput:
    """An archive's refusal."""
    return InvalidInput(f"the ZIP file {message}", code=code)


def find(file: BinaryIO) -> Directory:
    """Where the directory is. It and its end record must be the last in the file. Raises InvalidInput."""
    size = file.seek(0, 2)
    if size > MOST_BYTES + MOST_DIRECTORY:
        raise refuse("zip_too_large", f"has more than {MOST_BYTES // 10**9} GB; divide it")
    at, end = _end_record(file, size)
    disk, start_disk, here, total, length, start, _ = struct.unpack("<4xHHHHIIH", end)
    behind = at
    wide = _end64(file, at)
    if wide is not None:
        disk, start_disk, here, total, length, start = _agreed(
            wide[1], (disk, start_disk, here, total, length, start)
        )
        behind = wide[0]
    elif _FULL16 in {here, total} or _FULL32 in {length, start}:
        raise refuse("zip_damaged", "points to a ZIP64 record that is not there")
    if disk or start_disk or here != total:
        raise refuse("zip_in_parts", "is one part of several; give it as one file")
    if total > MOST_ENTRIES:
        raise refuse("zip_too_many", f"has {total} entries, {MOST_ENTRIES} are allowed; divide it")
    if length > MOST_DIRECTORY:
        raise refuse("zip_damaged", "has a directory that is too long for its entries")
    if start + length != behind:
        raise refuse(
            "zip_damaged", "has a directory that is not where its end says; something was put before or in it"
        )
    return Directory(entries=total, start=start, size=length)


def _end_record(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """The end record whose comment ends exactly with the file."""
    tail = min(size, 22 + _FULL16)
    file.seek(size - tail)
    data = file.read(tail)
    at = data.rfind(_END)
    while at >= 0:
        record = data[at : at + 22]
        if len(record) == 22 and at + 22 + int.from_bytes(record[20:22], "little") == len(data):
            return size - tail + at, record
        at = data.rfind(_END, 0, at)
    raise refuse("zip_damaged", "is none, or is cut off: its end record is missing")


def _end64(file: BinaryIO, end_at: int) -> tuple[int, tuple[int, ...]] | None:
    """Position and numbers of the ZIP64 end record, where there is one."""
    if end_at < 20:
        return None
    file.seek(end_at - 20)
    locator = file.read(20)
    if not locator.startswith(_LOCATOR64):
        return None
    disk, at, disks = struct.unpack("<4xIQI", locator)
    if disk or disks > 1:
        raise refuse("zip_in_parts", "is one part of several; give it as one file")
    if at + 56 > end_at - 20:
        raise refuse("zip64_lies", "points to a ZIP64 record outside itself")
    file.seek(at)
    record = file.read(56)
    if not record.startswith(_END64):
        raise refuse("zip64_lies", "points to a ZIP64 record that is not there")
    length = int.from_bytes(record[4:12], "little")
    if at + 12 + length != end_at - 20:
        raise refuse("zip64_lies", "has a ZIP64 record of a length that does not fit")
    return at, struct.unpack("<16xIIQQQQ", record)


def _agreed(wide: tuple[int, ...], narrow: tuple[int, ...]) -> tuple[int, ...]:
    """The wide numbers, where each narrow one is the same or says to look at the wide one."""
    fulls = (_FULL16, _FULL16, _FULL16, _FULL16, _FULL32, _FULL32)
    for w, n, full in zip(wide, narrow, fulls, strict=True):
        if n not in {w, full}:
            raise refuse("zip64_lies", "says one thing in its ZIP64 record and another in its end record")
    return wide


def entries(file: BinaryIO, directory: Directory) -> Iterator[Entry]:
    """The directory's entries in its order. Raises InvalidInput."""
    at, end = directory.start, directory.start + directory.size
    for number in range(1, directory.entries + 1):
        if number % 16 == 0:
            time.sleep(0)  # lets the event loop in
        file.seek(at)
        head = file.read(46)
        if len(head) < 46 or not head.startswith(_ENTRY) or at + 46 > end:
            raise refuse("zip_damaged", "has fewer entries than it says, or a damaged directory")
        made_by, flags, method, crc, packed, unpacked, names, extras, notes, disk, mode, offset = (
            struct.unpack("<4xB3xHH4xIIIHHHH2xII", head)
        )
        at += 46 + names + extras + notes
        if at > end:
            raise refuse("zip_damaged", "has a directory entry that reaches beyond the directory")
        raw_name, extra = file.read(names), file.read(extras)
        unpacked, packed, offset = _wide_numbers(extra, unpacked, packed, offset)
        if disk not in {0, _FULL16}:
            raise refuse("zip_in_parts", "is one part of several; give it as one file")
        yield Entry(
            number=number,
            raw_name=raw_name,
            flags=flags,
            method=method,
            crc=crc,
            packed=packed,
            unpacked=unpacked,
            offset=offset,
            mode=mode >> 16 if made_by in {3, 19} or mode >> 16 else 0,
            extra=extra,
        )
    if at != end:
        raise refuse("zip_damaged", "has more in its directory than its entries")


def _wide_numbers(extra: bytes, *narrow: int) -> list[int]:
    """Unpacked, packed, offset, each from the ZIP64 field where the narrow number is full (4.5.3)."""
    wanted = sum(n == _FULL32 for n in narrow)
    fields = [body for kind, body in extra_fields(extra) if kind == _ZIP64_EXTRA]
    if len(fields) > 1 or (wanted and not fields):
        raise refuse("zip64_lies", "has an entry whose ZIP64 numbers are missing or there twice")
    body = fields[0] if fields else b""
    if len(body) < 8 * wanted or (not wanted and fields and len(body) not in {0, 8, 16, 24, 28}):
        raise refuse("zip64_lies", "has an entry whose ZIP64 numbers are cut off")
    wide = iter(struct.unpack(f"<{wanted}Q", body[: 8 * wanted]))
    return [next(wide) if n == _FULL32 else n for n in narrow]


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each extra field; what is left over at the end is left out, as others do."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def names_itself_otherwise(entry: Entry) -> bool:
    """A second name in an extra field (Info-ZIP 0x7075) that differs from the first."""
    return any(
        kind == _UNICODE_PATH_EXTRA and body[5:] != entry.raw_name for kind, body in extra_fields(entry.extra)
    )


def data_span(file: BinaryIO, entry: Entry) -> tuple[int, int]:
    """Where an entry's packed bytes start and where all that belongs to it ends.

    Raises InvalidInput when its local header is not what the directory says.
    """
    file.seek(entry.offset)
    head = file.read(30)
    if len(head) < 30 or not head.startswith(_LOCAL):
        raise refuse("zip_damaged", "has an entry that is not where its directory says")
    flags, method, crc, packed, unpacked, names, extras = struct.unpack("<6xHH4xIIIHH", head)
    if (
        (flags ^ entry.flags) & ~_DEFLATE_HINTS
        or method != entry.method
        or file.read(names) != entry.raw_name
    ):
        raise refuse("zip_headers_differ", "has an entry that names itself otherwise than its directory does")
    later = bool(flags & _SIZES_LATER)
    if _FULL32 in {packed, unpacked} and not later:
        unpacked, packed = _wide_numbers(file.read(extras), unpacked, packed)
    # With the sizes behind the data, what stands here is zero, or a guess (Info-ZIP's); nobody reads it.
    if not later and (crc, packed, unpacked) != (entry.crc, entry.packed, entry.unpacked):
        raise refuse(
            "zip_headers_differ", "has an entry that gives itself another size than its directory does"
        )
    start = entry.offset + 30 + names + extras
    end = start + entry.packed
    return start, end + (_descriptor(file, entry, end) if later else 0)


_SIZES_LATER = 1 << 3
_DEFLATE_HINTS = 0b110
"""How hard the packer tried; some write it in one header only."""


def _descriptor(file: BinaryIO, entry: Entry, at: int) -> int:
    """Length of the data descriptor (4.3.9): with or without signature, narrow or wide."""
    file.seek(at)
    data = file.read(24)
    for signature in (b"PK\x07\x08", b""):
        for wide in ("<III", "<IQQ"):
            length = len(signature) + struct.calcsize(wide)
            expected = signature + struct.pack("<I", entry.crc)
            if data.startswith(expected) and len(data) >= length:
                found = struct.unpack_from(wide, data, len(signature))
                if found == (entry.crc, entry.packed, entry.unpacked):
                    return length
    raise refuse("zip_headers_differ", "has an entry whose size behind it is not the one in its directory")
