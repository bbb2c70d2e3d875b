"""Photographs as they are given, and the refusal of some."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.domain.enrolment import Judged
from gateway.domain.errors import EnrolmentRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """An encoded photograph and what to call it in an error."""

    name: str
    data: bytes = field(repr=False)


class PhotographsRefused(EnrolmentRefused):
    """Some photographs cannot be used; ``judged`` has all that is wrong with each of them."""

    def __init__(self, judged: Sequence[Judged]) -> None:
        """The code is that of the first reason ("bad_photo" for a file); the message has them all."""
        reasons = [(one.name, reason) for one in judged for reason in one.reasons]
        text = "; ".join(f"{name}: {reason.message}" for name, reason in reasons)
        first = reasons[0][1]
        super().__init__(text, code="bad_photo" if first.of_file else first.code)
        self.judged = tuple(judged)


def photo_files(paths: Sequence[Path]) -> list[Photo]:
    """Read photographs from disk. Raises EnrolmentRefused naming the file that cannot be read."""
    photos = []
    for path in paths:
        try:
            photos.append(Photo(name=path.name, data=path.read_bytes()))
        except OSError as error:
            raise EnrolmentRefused(f"{path}: cannot be read ({error.strerror})", code="bad_photo") from error
    return photos


async def several(photos: Sequence[Photo]) -> AsyncIterator[Photo]:
    """Photographs that are in memory, as a stream."""
    for photo in photos:
        yield photo
