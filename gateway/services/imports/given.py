"""What was given for an import, opened: the staff file and the photographs."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gateway.domain.errors import InvalidInput
from gateway.services.imports import archive, csv_lines, staff_lines
from gateway.services.imports.csv_lines import Sheet
from gateway.services.imports.photos import Folder, NoPictures, PhotoBook, Pictures

STAFF_IN_ARCHIVE = "staff.csv"
"""Where an export keeps its lines, beside the photographs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Both files, checked as files; not yet line by line."""

    staff: BinaryIO
    sheet: Sheet
    pictures: Pictures

    @property
    def notes(self) -> list[str]:
        """What is worth knowing about them."""
        return [self.sheet.note]

    def book(self) -> PhotoBook:
        """Whose photographs are whose. Blocking."""
        return PhotoBook.of(
            self.pictures, (line.number for line in staff_lines.read(self.staff, self.sheet) if line.number)
        )


def examine(staff: BinaryIO | None, photos: BinaryIO | Pictures | None) -> Given:
    """Check both as files. Without ``staff``, the archive of photographs must hold ``staff.csv``. Blocking.

    Raises InvalidInput: what is wrong, where, and what to do.
    """
    pictures: Pictures
    if photos is None:
        pictures = NoPictures()
    elif isinstance(photos, Pictures):
        pictures = photos
    else:
        pictures = archive.check(photos)
    if staff is None:
        if STAFF_IN_ARCHIVE not in set(pictures.names()):
            raise InvalidInput(
                f"no staff file: give one, or an archive with {STAFF_IN_ARCHIVE} in it", code="no_staff_file"
            )
        staff = io.BytesIO(pictures.read(STAFF_IN_ARCHIVE))
    return Given(staff=staff, sheet=csv_lines.survey(staff), pictures=pictures)


@contextlib.contextmanager
def from_disk(staff: Path, photos: Path | None) -> Iterator[Given]:
    """An operator's own files: a staff file or an export, a folder or a ZIP. Blocking.

    Raises InvalidInput.
    """
    with contextlib.ExitStack() as open_files:

        def opened(path: Path) -> BinaryIO:
            try:
                return open_files.enter_context(path.open("rb"))
            except OSError as error:
                raise InvalidInput(f"{path}: cannot be read ({error.strerror})", code="file_gone") from None

        whole = staff.suffix.casefold() == ".zip"
        if whole and photos is not None:
            raise InvalidInput(f"{staff} is an archive with photographs of its own; leave {photos} out")
        pictures: BinaryIO | Pictures | None
        if whole or photos is None:
            pictures = opened(staff) if whole else None
        else:
            pictures = Folder(photos) if photos.is_dir() else opened(photos)
        yield examine(None if whole else opened(staff), pictures)
