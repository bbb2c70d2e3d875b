"""Photographs in a ZIP file: the whole directory is checked before one of them is unpacked. Blocking."""

import stat
import threading
import time
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from gateway.services.imports import zip_layout
from gateway.services.imports.zip_layout import MOST_BYTES, Entry, refuse

MOST_ENTRY_BYTES = 20_000_000
MOST_NAME_BYTES = 1024
_MOST_RATIO = 100
"""Photographs hardly shrink; what shrinks this much was made to swell."""
_SMALL = 65_536
"""An entry that unpacks to no more than this may shrink as it likes."""
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_UTF8 = 1 << 11
_STORED, _DEFLATED = 0, 8
_ARCHIVES = (
    *(".zip", ".zipx", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".lz4", ".cab", ".jar"),
    *(".iso", ".dmg", ".img", ".arj", ".lzh"),
)
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class _Place:
    number: int
    start: int
    packed: int
    unpacked: int
    method: int
    crc: int


@dataclass(frozen=True, slots=True)
class Archive:
    """A checked archive; its files by name."""

    file: BinaryIO
    places: Mapping[str, _Place]
    _turn: threading.Lock = field(default_factory=threading.Lock)
    """The file has one place at a time, and a read whose caller was cancelled goes on in its thread."""

    def names(self) -> Iterable[str]:
        """Paths of the files inside, with ``/`` between folders."""
        return self.places.keys()

    def read(self, name: str) -> bytes:
        """One file, unpacked. Raises InvalidInput when it is not what the directory says; KeyError."""
        place = self.places[name]
        with self._turn:
            data = _unpacked(self.file, place)
        if len(data) != place.unpacked or zlib.crc32(data) != place.crc:
            raise refuse("zip_damaged", f"has other data in entry {place.number} than its directory says")
        return data


def check(file: BinaryIO) -> Archive:
    """Check all of an archive's directory. Raises InvalidInput: nothing of it may be used then."""
    spans: list[tuple[int, int]] = []
    places: dict[str, _Place] = {}
    seen: set[str] = set()
    total = 0
    directory = zip_layout.find(file)
    found = list(zip_layout.entries(file, directory))
    for entry in sorted(found, key=lambda e: e.offset):
        if len(spans) % 16 == 0:
            time.sleep(0)  # lets the event loop in
        name = _name(entry)
        _check_entry(entry, name, directory.start)
        total += entry.unpacked
        if total > MOST_BYTES:
            raise refuse("zip_bomb", f"unpacks to more than {MOST_BYTES // 10**9} GB; divide it")
        key = unicodedata.normalize("NFC", name).casefold().rstrip("/")
        if key in seen:
            raise refuse("zip_double_name", f"has {_called(entry)} under the name of another entry")
        seen.add(key)
        if spans and entry.offset < spans[-1][1]:  # before its header is believed
            raise refuse("zip_overlap", "has entries that share their bytes, as a bomb has")
        start, end = zip_layout.data_span(file, entry)
        spans.append((entry.offset, end))
        if not name.endswith("/"):
            places[name] = _Place(entry.number, start, entry.packed, entry.unpacked, entry.method, entry.crc)
    _check_gapless(spans, directory.start)
    return Archive(file, places)


def _check_gapless(spans: list[tuple[int, int]], directory: int) -> None:
    """A file that is a ZIP and something else as well keeps the something else between the entries."""
    at = 0
    for start, end in spans:
        if start < at:
            raise refuse("zip_overlap", "has entries that share their bytes, as a bomb has")
        if start > at:
            raise refuse(
                "zip_gap", "holds bytes that belong to no entry: it may be two kinds of file at once"
            )
        at = end
    if at != directory:
        code = "zip_overlap" if at > directory else "zip_gap"
        raise refuse(code, "holds bytes between its entries and its directory that do not belong there")


def _name(entry: Entry) -> str:
    """The entry's path, if it is one that stays inside. Raises InvalidInput."""
    raw = entry.raw_name
    if not raw or len(raw) > MOST_NAME_BYTES:
        raise refuse("zip_bad_name", "has an entry with no name, or one that is too long")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise refuse(
            "zip_name_encoding", "has a file name that is not UTF-8; pack it again with UTF-8 names"
        ) from None
    if zip_layout.names_itself_otherwise(entry):
        raise refuse("zip_headers_differ", "has an entry with two different names")
    if any(unicodedata.category(c).startswith("C") for c in name):
        raise refuse("zip_bad_name", "has a file name with control characters or undefined ones")
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise refuse("zip_absolute_name", f"has {_called(entry)} with an absolute or foreign path")
    parts = name.removesuffix("/").split("/")
    if ".." in parts or "." in parts or "" in parts:
        raise refuse("zip_traversal", f"has {_called(entry)} with a path that leads out of it")
    return name


def _check_entry(entry: Entry, name: str, directory: int) -> None:
    if entry.flags & _ENCRYPTED:
        raise refuse("zip_encrypted", "is encrypted; pack it without a password (it is sealed on arrival)")
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFLNK:
        raise refuse("zip_symlink", f"has a symbolic link in {_called(entry)}; pack the files themselves")
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR} or (kind == stat.S_IFDIR) > name.endswith("/"):
        raise refuse("zip_special_file", f"has {_called(entry)}, which is no ordinary file")
    if entry.method not in {_STORED, _DEFLATED}:
        raise refuse("zip_method", f"packs {_called(entry)} by an unusual method; use deflate or store")
    if name.casefold().endswith(_ARCHIVES):
        raise refuse("zip_nested", f"has an archive in {_called(entry)}; unpack that first")
    _check_size(entry, name)
    if entry.offset + entry.packed > directory:
        raise refuse("zip_damaged", f"has {_called(entry)} reach beyond its end")


def _check_size(entry: Entry, name: str) -> None:
    if name.endswith("/") and entry.unpacked:
        raise refuse("zip_damaged", f"has a folder with content of its own in {_called(entry)}")
    if entry.unpacked > MOST_ENTRY_BYTES:
        raise refuse(
            "zip_entry_too_large",
            f"has {entry.unpacked / 1e6:.0f} MB in {_called(entry)}; at most {MOST_ENTRY_BYTES / 1e6:.0f} go",
        )
    if entry.method == _STORED and entry.packed != entry.unpacked:
        raise refuse("zip_damaged", f"stores {_called(entry)} with two different sizes")
    if entry.unpacked > max(_SMALL, _MOST_RATIO * entry.packed):
        raise refuse("zip_bomb", f"has {_called(entry)}, which swells more than {_MOST_RATIO} times")


def _called(entry: Entry) -> str:
    """An entry by its place: file names may be people's names, and errors are shown and logged."""
    return f"entry {entry.number}"


def _unpacked(file: BinaryIO, place: _Place) -> bytes:
    """At most one byte more than the directory says."""
    file.seek(place.start)
    if place.method == _STORED:
        return file.read(place.packed)
    unpack = zlib.decompressobj(-15)
    out = bytearray()
    left = place.packed
    try:
        while left > 0 and not unpack.eof:
            block = file.read(min(_BLOCK, left))
            if not block:
                return b""
            left -= len(block)
            while block and not unpack.eof:
                out += unpack.decompress(block, place.unpacked + 1 - len(out) or 1)
                if len(out) > place.unpacked:
                    return b""
                block = unpack.unconsumed_tail
    except zlib.error:
        return b""
    return bytes(out) if unpack.eof and not unpack.unused_data and left == 0 else b""
