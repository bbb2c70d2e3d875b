"""Everybody's templates in memory, kept up to date template by template for as long as an import runs.

The roster at the doors is read anew whole when anything changes; an import that changed somebody every moment
would read ten thousand people ten thousand times.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from gateway.domain.errors import EnrolmentRefused, SealBroken
from gateway.domain.faces import Embedding
from gateway.domain.ids import ModelId, PersonId
from gateway.ports import Sealer, TemplateFeed
from gateway.ports.imports import StoredTemplate
from gateway.services.enrolment import compare
from gateway.services.roster_opening import from_bytes

_log = structlog.get_logger(__name__)

_PAGE = 1000
_SAME = 0.9995
"""Two embeddings this near are of the same picture, not only of the same person."""
_PRETENDED = -1


@dataclass(slots=True)
class KnownFaces:
    """Compares a face with all others."""

    feed: TemplateFeed
    sealer: Sealer
    model_id: ModelId
    threshold: Callable[[int], float]
    """Cosine similarity from which two faces are one person's, for a gallery of so many templates."""
    _rows: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    _ids: list[int] = field(default_factory=list)
    _owners: list[PersonId] = field(default_factory=list)
    _numbers: dict[PersonId, str] = field(default_factory=dict)
    _last: int = 0

    def __len__(self) -> int:
        """How many templates are known."""
        return len(self._ids)

    async def refresh(self) -> None:
        """Take in templates that are new; one short query when there are none."""
        while True:
            page = await self.feed.templates_after(self.model_id, self._last, _PAGE)
            if page:
                opened = await asyncio.to_thread(self._opened, page)
                for template, embedding in opened:
                    self._add(template.template_id, template.person_id, template.number, embedding)
                self._last = page[-1].template_id
            if len(page) < _PAGE:
                return

    def pretend(self, person_id: PersonId, number: str, embeddings: Sequence[Embedding]) -> None:
        """As if they had been enrolled: a rehearsal compares its lines with each other as well."""
        for embedding in embeddings:
            self._add(_PRETENDED, person_id, number, embedding)

    def agree(self, embeddings: Sequence[Embedding], names: Sequence[str]) -> None:
        """Photographs of one person must agree with each other. Raises EnrolmentRefused."""
        odd = compare.strangers_among(embeddings, self.threshold(1))
        if odd:
            text = "; ".join(f"{names[i]}: {compare.DISAGREES.message}" for i in odd)
            raise EnrolmentRefused(text, code=compare.DISAGREES.code)

    async def check_new(
        self, embeddings: Sequence[Embedding], names: Sequence[str], me: PersonId | None
    ) -> None:
        """The same face under another person is refused. Raises EnrolmentRefused."""
        for embedding, name in zip(embeddings, names, strict=True):
            found = await self._another(embedding, me)
            if found is not None:
                raise EnrolmentRefused(
                    f"{name}: this face is already enrolled as number {self._numbers[self._owners[found]]}; "
                    "correct that record instead of adding another",
                    code="already_enrolled",
                )

    async def holds(self, person_id: PersonId, embeddings: Sequence[Embedding]) -> bool:
        """The person's templates are of these very pictures, and of no others."""
        for row in reversed(self._rows_of(person_id)):
            if self._ids[row] != _PRETENDED and not await self.feed.has_template(self._ids[row]):
                self._drop(row)  # replaced or withdrawn since it was read
        rows = self._rows_of(person_id)
        if not rows or len(rows) != len(embeddings):
            return False
        near = self._rows[rows] @ np.stack([*embeddings]).T >= _SAME
        return bool(near.any(axis=0).all() and near.any(axis=1).all())

    def _rows_of(self, person_id: PersonId) -> list[int]:
        return [i for i, owner in enumerate(self._owners) if owner == person_id]

    async def _another(self, embedding: Embedding, me: PersonId | None) -> int | None:
        """The row of the nearest other person, if it is near enough and still there."""
        limit = self.threshold(max(1, len(self)))
        while len(self):
            scores = self._rows[: len(self)] @ embedding
            mine = [i for i in np.flatnonzero(scores >= limit) if self._owners[i] != me]
            if not mine:
                return None
            best = int(max(mine, key=lambda i: scores[i]))
            if self._ids[best] == _PRETENDED or await self.feed.has_template(self._ids[best]):
                return best
            self._drop(best)  # replaced or withdrawn since it was read
        return None

    def _opened(self, page: Sequence[StoredTemplate]) -> list[tuple[StoredTemplate, Embedding]]:
        found = []
        for template in page:
            try:
                plain = self.sealer.open(
                    template.wrapped_key, template.person_id, self.model_id, template.sealed
                )
                found.append((template, from_bytes(plain)))
            except (SealBroken, ValueError) as error:
                _log.error("template_does_not_open", person=template.person_id, why=str(error))
        return found

    def _add(self, template_id: int, person_id: PersonId, number: str, embedding: Embedding) -> None:
        count = len(self._ids)
        if self._rows.shape[1] != len(embedding):
            self._rows = np.zeros((_PAGE, len(embedding)), np.float32)
        elif count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[count] = embedding
        self._ids.append(template_id)
        self._owners.append(person_id)
        self._numbers[person_id] = number

    def _drop(self, row: int) -> None:
        self._rows[row : len(self._ids) - 1] = self._rows[row + 1 : len(self._ids)]
        del self._ids[row], self._owners[row]
