"""ZIP files as they should not be: each with the code it is refused with."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8


def packed(
    *files: tuple[str, bytes],
    method: int = zipfile.ZIP_DEFLATED,
    fill: Callable[[zipfile.ZipFile], None] | None = None,
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
        if fill is not None:
            fill(archive)
    return out.getvalue()


def one(name: str = "1.jpg", data: bytes = JPEG, **how: int) -> bytes:
    return packed((name, data), **how)


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    """Bytes written over others; a negative place counts from the end."""
    out = bytearray(data)
    for at, new in changes:
        at %= len(out)  # noqa: PLW2901
        out[at : at + len(new)] = new
    return bytes(out)


def central(data: bytes, number: int = 0) -> int:
    """Where an entry of the directory starts."""
    at = -1
    for _ in range(number + 1):
        at = data.index(b"PK\x01\x02", at + 1)
    return at


def end(data: bytes) -> int:
    return data.rindex(b"PK\x05\x06")


def raw(*entries: tuple[bytes, bytes], offsets: list[int] | None = None) -> bytes:
    """Stored entries with any bytes as names; ``offsets``: what the directory claims."""
    body, places = b"", []
    for name, data in entries:
        places.append(len(body))
        body += struct.pack(
            "<4s5HIIIHH", b"PK\x03\x04", 20, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data), len(name), 0
        )
        body += name + data
    directory = b"".join(
        struct.pack(
            "<4s6HIIIHHHHHII",
            b"PK\x01\x02",
            20,
            20,
            0,
            0,
            0,
            0,
            zlib.crc32(d),
            len(d),
            len(d),
            len(n),
            0,
            0,
            0,
            0,
            0,
            at,
        )
        + n
        for (n, d), at in zip(entries, offsets or places, strict=True)
    )
    count = len(entries)
    return (
        body
        + directory
        + struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    )


def with_mode(mode: int, name: str = "1.jpg") -> bytes:
    def fill(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = mode << 16
        archive.writestr(info, b"" if name.endswith("/") else b"/etc/passwd")

    return packed(fill=fill)


def overlapping(count: int = 200) -> bytes:
    """Many entries that all unpack the same bytes (after D. Fifield's "A better zip bomb")."""
    data = JPEG
    body = (
        struct.pack("<4s5HIIIHH", b"PK\x03\x04", 20, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data), 5, 0)
        + b"a.jpg"
        + data
    )
    directory = b"".join(
        struct.pack(
            "<4s6HIIIHHHHHII",
            b"PK\x01\x02",
            20,
            20,
            0,
            0,
            0,
            0,
            zlib.crc32(data),
            len(data),
            len(data),
            9,
            0,
            0,
            0,
            0,
            0,
            0,
        )
        + b"%05d.jpg" % i
        for i in range(count)
    )
    return (
        body
        + directory
        + struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    )


def wide(data: bytes, **claims: int) -> bytes:
    """With a ZIP64 end record; ``claims`` instead of the truth."""
    at = end(data)
    count, length, start = struct.unpack("<10xHII", data[at : at + 20])
    true = {
        "here": count,
        "total": count,
        "length": length,
        "start": start,
        "at": at,
        "record": 44,
        "disks": 1,
    }
    said = true | claims
    record = struct.pack(
        "<4sQHHIIQQQQ",
        b"PK\x06\x06",
        said["record"],
        45,
        45,
        0,
        0,
        said["here"],
        said["total"],
        said["length"],
        said["start"],
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, said["at"], said["disks"])
    return data[:at] + record + locator + data[at:]


def bad_zips() -> Iterator[tuple[str, bytes, str]]:
    """What it is, its bytes, the code."""
    good = packed(("1.jpg", JPEG), ("2.jpg", JPEG[::-1]))
    yield from _damaged(good)
    yield from _names()
    yield from _bombs(good)
    yield from _kinds(good)
    yield from _lies(good)


def _damaged(good: bytes) -> Iterator[tuple[str, bytes, str]]:
    yield "nothing at all", b"", "zip_damaged"
    yield "only its magic", b"PK\x03\x04", "zip_damaged"
    yield "text", b"number,name\n" * 100, "zip_damaged"
    yield "a picture", JPEG, "zip_damaged"
    yield "zeros", bytes(100_000), "zip_damaged"
    for share in (0.1, 0.5, 0.9):
        yield f"cut off after {share:.0%}", good[: int(len(good) * share)], "zip_damaged"
    yield "one byte short", good[:-1], "zip_damaged"
    yield "one byte more", good + b"x", "zip_damaged"
    yield "its first byte missing", good[1:], "zip_damaged"
    yield "its directory alone", good[central(good) :], "zip_damaged"
    yield (
        "an end record alone, with a count",
        patched(bytes(22), (0, b"PK\x05\x06"), (8, b"\1\0\1\0")),
        "zip_damaged",
    )
    yield "directory magic gone", patched(good, (central(good), b"XX")), "zip_damaged"
    yield "local magic gone", patched(good, (0, b"XX")), "zip_damaged"
    yield "fewer entries than said", patched(good, (end(good) + 8, b"\3\0\3\0")), "zip_damaged"
    yield "more entries than said", patched(good, (end(good) + 8, b"\1\0\1\0")), "zip_damaged"
    yield "name longer than the directory", patched(good, (central(good, 1) + 28, b"\xff\xff")), "zip_damaged"
    yield "offset beyond the end", patched(good, (central(good, 1) + 42, b"\xff\xff\xff\x7f")), "zip_damaged"
    yield "one of several parts", patched(good, (end(good) + 4, b"\1\0")), "zip_in_parts"
    yield "entry on another disk", patched(good, (central(good) + 34, b"\1\0")), "zip_in_parts"
    yield "entry here, more elsewhere", patched(good, (end(good) + 8, b"\1\0")), "zip_in_parts"


def _names() -> Iterator[tuple[str, bytes, str]]:
    for name, code in (
        ("../1.jpg", "zip_traversal"),
        ("a/../../1.jpg", "zip_traversal"),
        ("a/./1.jpg", "zip_traversal"),
        ("a//1.jpg", "zip_traversal"),
        ("..", "zip_traversal"),
        ("/etc/cron.d/1.jpg", "zip_absolute_name"),
        ("C:/1.jpg", "zip_absolute_name"),
        ("..\\1.jpg", "zip_absolute_name"),
        ("\\\\server\\1.jpg", "zip_absolute_name"),
        ("1\n.jpg", "zip_bad_name"),
        ("1\u202egpj.exe", "zip_bad_name"),
        ("x" * 1100 + ".jpg", "zip_bad_name"),
    ):
        yield f"name {name[:20]!r}", raw((name.encode(), JPEG)), code
    yield "a name with NUL", raw((b"1.jpg\0.exe", JPEG)), "zip_bad_name"
    yield "no name", raw((b"", JPEG)), "zip_bad_name"
    yield "a Latin-1 name", raw((b"J\xfcrgen.jpg", JPEG)), "zip_name_encoding"
    yield "a code page 437 name", raw((b"\x84\x94\x81.jpg", JPEG)), "zip_name_encoding"
    yield "an overlong slash", raw((b"a\xc0\xaf1.jpg", JPEG)), "zip_name_encoding"
    yield "the same name twice", raw((b"1.jpg", JPEG), (b"1.jpg", JPEG[::-1])), "zip_double_name"
    yield "the same but for case", raw((b"a.jpg", JPEG), (b"A.JPG", JPEG)), "zip_double_name"
    yield (
        "the same, composed otherwise",
        raw(("ä.jpg".encode(), JPEG), ("a\u0308.jpg".encode(), JPEG)),
        "zip_double_name",
    )
    yield "a file and a folder of one name", raw((b"a", JPEG), (b"a/", b"")), "zip_double_name"


def _bombs(good: bytes) -> Iterator[tuple[str, bytes, str]]:
    yield "10 MB of zeros", one(data=bytes(10_000_000)), "zip_bomb"
    yield (
        "19 MB of zeros, twice",
        packed(("1.jpg", bytes(19_000_000)), ("2.jpg", bytes(19_000_000))),
        "zip_bomb",
    )
    yield "100 MB of zeros", one(data=bytes(100_000_000)), "zip_entry_too_large"
    yield "200 entries over the same bytes", overlapping(), "zip_headers_differ"
    same = raw((b"1.jpg", JPEG), (b"1.jpg", JPEG), offsets=[0, 0])
    yield "two entries in one place", same, "zip_double_name"
    quine = raw((b"1.jpg", JPEG), (b"2.jpg", raw((b"2.jpg", JPEG))), offsets=[0, 0])
    yield "an entry over another", quine, "zip_overlap"
    yield "a ZIP in a ZIP", one("more.zip", one()), "zip_nested"
    yield "a ZIP in a ZIP, in capitals", one("MORE.ZIP", one()), "zip_nested"
    yield "a 7z in a ZIP", one("a/b.7z", JPEG), "zip_nested"
    yield "a tar.gz in a ZIP", one("a.tar.gz", JPEG), "zip_nested"
    yield "a JAR in a ZIP", one("a.jar", JPEG), "zip_nested"
    yield (
        "60,000 entries claimed",
        patched(good, (end(good) + 8, struct.pack("<HH", 60_000, 60_000))),
        "zip_too_many",
    )


def _kinds(good: bytes) -> Iterator[tuple[str, bytes, str]]:
    yield "encrypted", patched(good, (6, b"\1"), (central(good) + 8, b"\1")), "zip_encrypted"
    yield "encrypted in the directory only", patched(good, (central(good) + 8, b"\1")), "zip_encrypted"
    yield "its directory encrypted", patched(good, (central(good) + 9, b"\x20")), "zip_encrypted"
    yield "bzip2", one(method=zipfile.ZIP_BZIP2), "zip_method"
    yield "LZMA", one(method=zipfile.ZIP_LZMA), "zip_method"
    yield "a method nobody knows", patched(good, (8, b"\x63"), (central(good) + 10, b"\x63")), "zip_method"
    yield "a symbolic link", with_mode(stat.S_IFLNK | 0o777), "zip_symlink"
    yield "a device", with_mode(stat.S_IFBLK | 0o600), "zip_special_file"
    yield "a pipe", with_mode(stat.S_IFIFO | 0o600), "zip_special_file"
    yield "a folder that is called a file", with_mode(stat.S_IFDIR | 0o755), "zip_special_file"
    yield "a folder with content", raw((b"a/", JPEG)), "zip_damaged"
    yield "a JPEG before it", _moved(JPEG, good), "zip_gap"
    yield "a script before it", b"#!/bin/sh\nexit\n" + good, "zip_damaged"
    yield "a PDF between entry and directory", _between(good, b"%PDF-1.7 ..."), "zip_gap"
    yield "a PDF as its comment, and cut", good[:-2] + b"\xff\xff%PDF", "zip_damaged"


def _moved(before: bytes, good: bytes) -> bytes:
    """Something put before it, and every offset set right: a file of two kinds."""
    out = bytearray(before + good)
    for number in (0, 1):
        at = central(bytes(out), number) + 42
        struct.pack_into("<I", out, at, struct.unpack_from("<I", out, at)[0] + len(before))
    at = end(bytes(out)) + 16
    struct.pack_into("<I", out, at, struct.unpack_from("<I", out, at)[0] + len(before))
    return bytes(out)


def _between(good: bytes, more: bytes) -> bytes:
    start = central(good)
    out = bytearray(good[:start] + more + good[start:])
    at = end(bytes(out)) + 16
    struct.pack_into("<I", out, at, start + len(more))
    return bytes(out)


def _lies(good: bytes) -> Iterator[tuple[str, bytes, str]]:
    yield "another name in the entry", patched(good, (30, b"9")), "zip_headers_differ"
    yield "another size in the entry", patched(good, (22, b"\1\0\0\0")), "zip_headers_differ"
    yield "another checksum in the entry", patched(good, (14, b"\1\2\3\4")), "zip_headers_differ"
    yield "another method in the entry", patched(good, (8, b"\0")), "zip_headers_differ"
    yield (
        "a smaller unpacked size in both",
        patched(good, (22, b"\5\0\0\0"), (central(good) + 24, b"\5\0\0\0")),
        "",
    )
    yield "another checksum in both", patched(good, (14, b"\1\2\3\4"), (central(good) + 16, b"\1\2\3\4")), ""
    yield "packed data altered", patched(good, (60, b"\0\0\0\0")), ""
    stored = one(method=zipfile.ZIP_STORED)
    yield (
        "stored, and larger than that",
        patched(stored, (22, b"\0\0\1\0"), (central(stored) + 24, b"\0\0\1\0")),
        "zip_damaged",
    )
    yield "ZIP64: more entries", wide(good, total=9, here=9), "zip64_lies"
    yield "ZIP64: another start", wide(good, start=0), "zip64_lies"
    yield "ZIP64: a length that does not fit", wide(good, record=400), "zip64_lies"
    yield "ZIP64: a record elsewhere", wide(good, at=0), "zip64_lies"
    yield "ZIP64: a record beyond the end", wide(good, at=1 << 60), "zip64_lies"
    yield "ZIP64: in parts", wide(good, disks=3), "zip_in_parts"
    yield "ZIP64 promised, and not there", patched(good, (end(good) + 16, b"\xff\xff\xff\xff")), "zip_damaged"
    yield (
        "ZIP64 sizes promised, and not there",
        patched(good, (central(good) + 20, b"\xff\xff\xff\xff")),
        "zip64_lies",
    )
    huge = good[: central(good)] + b"PK\x01\x02" + good[central(good) + 4 :]
    yield "4 GB in one entry", patched(huge, (central(good) + 24, b"\xfe\xff\xff\xff")), "zip_entry_too_large"
