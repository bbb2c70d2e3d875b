"""Which photographs are whose: by the names in the file, or by the person's number. Blocking."""

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from gateway.domain.errors import InvalidInput
from gateway.domain.imports import MOST_PHOTOS, StaffLine

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_COUNTED = re.compile(r"(.+)-\d{1,3}")
_MOST_FILES = 40_000
_MOST_BYTES = 20_000_000


@runtime_checkable
class Pictures(Protocol):
    """Files by path, with ``/`` between folders."""

    def names(self) -> Iterable[str]:
        """All of them."""
        ...

    def read(self, name: str) -> bytes:
        """One of them. Raises InvalidInput when it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class NoPictures:
    """A staff file alone."""

    def names(self) -> Iterable[str]:
        """None."""
        return ()

    def read(self, name: str) -> bytes:
        """Never asked for."""
        del name
        raise InvalidInput("no photographs were given", code="photo_missing")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the operator's. Links in it are not followed: it may have been unpacked from anywhere."""

    root: Path

    def names(self) -> Iterable[str]:
        """Ordinary files, at any depth. Raises InvalidInput."""
        if not self.root.is_dir():
            raise InvalidInput(f"{self.root}: not a folder", code="no_photo_folder")
        found: list[str] = []
        for folder, _, files in os.walk(self.root):
            inside = Path(folder).relative_to(self.root)
            found += ((inside / name).as_posix() for name in files if not (Path(folder) / name).is_symlink())
            if len(found) > _MOST_FILES:
                raise InvalidInput(f"{self.root}: more than {_MOST_FILES} files", code="too_many_files")
        return sorted(found)

    def read(self, name: str) -> bytes:
        """One file. Raises InvalidInput."""
        try:
            handle = os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise InvalidInput("a photograph is not an ordinary file", code="bad_photo")
                return file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise InvalidInput(f"a photograph cannot be read ({error.strerror})", code="bad_photo") from None


@dataclass(frozen=True, slots=True)
class PhotoBook:
    """Finds a line's photographs."""

    pictures: Pictures
    paths: frozenset[str]
    by_tail: Mapping[str, Sequence[str]]
    """By file name alone, and by path without the outermost folder."""
    by_number: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, pictures: Pictures, numbers: Iterable[str]) -> "PhotoBook":
        """Sort all pictures out.

        ``numbers`` are those of the staff file: ``E1-2.jpg`` is the second photograph of E1, unless there is
        somebody with the number E1-2.
        """
        known = frozenset(numbers)
        paths: set[str] = set()
        by_tail: dict[str, list[str]] = {}
        by_number: dict[str, list[str]] = {}
        for name in sorted(pictures.names(), key=_in_order):
            if not name.casefold().endswith(_PICTURES) or name.startswith("__MACOSX/"):
                continue
            *folders, base = name.split("/")
            if base.startswith("."):
                continue
            paths.add(name)
            for tail in {base, name.partition("/")[2]}:
                by_tail.setdefault(tail, []).append(name)
            owner = _owner(folders, base.rpartition(".")[0], known)
            if owner is not None:
                by_number.setdefault(owner, []).append(name)
        return cls(pictures, frozenset(paths), by_tail, by_number)

    def of_line(self, line: StaffLine) -> tuple[str, ...]:
        """Paths of a line's photographs. Raises InvalidInput for one that is missing, or not one alone."""
        if not line.photos:
            found = tuple(self.by_number.get(line.number, ()))
            if len(found) > MOST_PHOTOS:
                raise InvalidInput(
                    f"{len(found)} photographs bear this number, {MOST_PHOTOS} are allowed",
                    code="too_many_photos",
                )
            return found
        return tuple(self._one(name, place) for place, name in enumerate(line.photos, 1))

    def _one(self, name: str, place: int) -> str:
        # By its place: file names may be people's names, and errors are shown and logged.
        if name in self.paths:
            return name
        found = self.by_tail.get(name, ())
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidInput(
                f"photos: file {place} is there {len(found)} times; write its folder as well",
                code="photo_ambiguous",
            )
        raise InvalidInput(f"photos: file {place} is not among the photographs given", code="photo_missing")


def _owner(folders: Sequence[str], stem: str, known: frozenset[str]) -> str | None:
    if stem in known:
        return stem
    counted = _COUNTED.fullmatch(stem)
    if counted is not None and counted[1] in known:
        return counted[1]
    return folders[-1] if folders and folders[-1] in known else None


def _in_order(name: str) -> tuple[str, int, str]:
    """``E1.jpg`` before ``E1-2.jpg`` before ``E1-10.jpg``."""
    stem, _, _ = name.rpartition(".")
    head, _, tail = stem.rpartition("-")
    if head and tail.isascii() and tail.isdigit() and len(tail) <= 3:
        return head, int(tail), name
    return stem, 0, name
