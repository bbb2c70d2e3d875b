"""A film in acts, each with what the door must do in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.simulators import film
from gateway.domain.decisions import DenyReason
from gateway.domain.faces import Image
from gateway.rehearsal.portraits import Portrait

UNKNOWN = frozenset({DenyReason.UNKNOWN_PERSON})
SPOOF = frozenset({DenyReason.LIVENESS_FAILED, DenyReason.LIVENESS_UNCLEAR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One scene. ``granted`` names who must be let in; ``denied`` why the door must stay shut."""

    name: str
    pictures: Callable[[], Iterator[Image]]
    granted: str | None = None
    denied: frozenset[DenyReason] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where an act lies in the film: first and last picture, from 0."""

    act: Act
    first: int
    last: int


def demo_acts(employee: Portrait, stranger: Portrait, shot: film.Shot) -> list[Act]:
    """An employee, a stranger, and the employee's photograph on paper and on a tablet."""

    def still() -> Act:
        return Act(name="nobody", pictures=lambda: film.empty(_lasting(shot, 2.0)))

    def walk(who: Portrait) -> Callable[[], Iterator[Image]]:
        return lambda: film.walk_up(who.picture, who.face, shot)

    def held(medium: film.Medium) -> Callable[[], Iterator[Image]]:
        return lambda: film.held_up(employee.picture, employee.face, shot, medium=medium)

    acts = [
        Act(name="an employee walks up", pictures=walk(employee), granted=employee.name),
        Act(name="a stranger walks up", pictures=walk(stranger), denied=UNKNOWN),
        Act(name="the employee's photograph is held up", pictures=held("print"), denied=SPOOF),
        Act(name="the employee's picture is held up on a tablet", pictures=held("screen"), denied=SPOOF),
    ]
    return [still()] + [part for act in acts for part in (act, still())]


def shoot(acts: Sequence[Act], path: Path, shot: film.Shot) -> list[Mark]:
    """Film the acts one after the other into an H.264 file."""
    marks: list[Mark] = []

    def pictures() -> Iterator[Image]:
        count = 0
        for act in acts:
            first = count
            for picture in act.pictures():
                count += 1
                yield picture
            marks.append(Mark(act=act, first=first, last=count - 1))

    film.write_h264(path, pictures(), shot)
    return marks


def _lasting(shot: film.Shot, seconds: float) -> film.Shot:
    return film.Shot(size=shot.size, fps=shot.fps, seconds=seconds, seed=shot.seed)
