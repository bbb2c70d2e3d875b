"""The enrolled templates, as an immutable matrix that is swapped whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.domain.faces import Embedding
from gateway.domain.ids import ModelId, PersonId


@dataclass(frozen=True, slots=True)
class Match:
    """Best person for a probe, with the score of the best *other* person beside it (cosine, -1..1)."""

    person_id: PersonId | None
    score: float
    runner_up: float

    @property
    def margin(self) -> float:
        """How far the best person is ahead of the second."""
        return self.score - self.runner_up


@dataclass(frozen=True, slots=True)
class Gallery:
    """Templates of one model: ``matrix`` is templates x dimensions, unit rows, read-only."""

    model_id: ModelId
    people: tuple[PersonId, ...]
    matrix: NDArray[np.float32]
    owner: NDArray[np.intp]
    """For each row of ``matrix`` the index into ``people``."""

    @classmethod
    def of(cls, model_id: ModelId, templates: Mapping[PersonId, Sequence[Embedding]]) -> "Gallery":
        """Build from unit-length embeddings; people without a template take no part."""
        people = tuple(p for p, rows in templates.items() if rows)
        rows = [row for p in people for row in templates[p]]
        matrix = np.array(rows, np.float32) if rows else np.zeros((0, 1), np.float32)
        owner = np.repeat(np.arange(len(people)), [len(templates[p]) for p in people])
        matrix.setflags(write=False)
        owner.setflags(write=False)
        return cls(model_id, people, matrix, owner.astype(np.intp))

    def __len__(self) -> int:
        """How many people can be recognised."""
        return len(self.people)

    def search(self, probe: Embedding) -> Match:
        """Exact search. A person's score is that of the nearest of their templates."""
        return self.search_except(probe, None)

    def search_except(self, probe: Embedding, leave_out: PersonId | None) -> Match:
        """As ``search``, as if one person were not enrolled."""
        if not self.people:
            return Match(None, -1.0, -1.0)
        best = np.full(len(self.people), -1.0, np.float32)
        np.maximum.at(best, self.owner, self.matrix @ probe)
        if leave_out in self.people:
            best[self.people.index(leave_out)] = -1.0
        top = int(best.argmax())
        score = float(best[top])
        best[top] = -1.0
        runner_up = float(best.max()) if len(best) > 1 else -1.0
        return Match(self.people[top] if score > -1.0 else None, score, runner_up)
