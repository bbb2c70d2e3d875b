"""Error rates on a site's own pictures, in the terms of ISO/IEC 19795-1.

One folder a person. Every second picture is enrolled, the others are shown, one at a time: closed set
(the person is enrolled) and open set (the same picture against the gallery without its person).
A door asks more than this: k of n samples of a track must agree, so these are upper bounds.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Embedding
from gateway.domain.gallery import Gallery, Match
from gateway.domain.ids import PersonId
from gateway.ports import FaceAnalyser

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(slots=True)
class Counts:
    """How the shown pictures ended."""

    shown: int = 0
    identified: int = 0
    not_identified: int = 0
    falsely_identified: int = 0
    failure_to_acquire: int = 0
    """No face found, or none that can be aligned."""
    strangers_shown: int = 0
    strangers_identified: int = 0
    """Pictures of people left out of the gallery that matched someone: false positive identifications."""
    failure_to_enrol: int = 0
    people: int = 0
    templates: int = 0
    threshold: float = 0.0
    margin: float = 0.0
    poor_quality: int = 0
    """Of the shown pictures: those whose quality a door would refuse; counted above all the same."""
    mistakes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """For a file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Picture:
    person: PersonId
    name: str
    embedding: Embedding | None
    usable: bool


def evaluate(
    folders: Sequence[Path],
    analyser: FaceAnalyser,
    threshold: Callable[[int], float],
    margin: float,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Counts:
    """Measure. Blocking. Raises InvalidInput when a folder holds no people."""
    files = [(PersonId(f"{top.name}/{p.name}"), p) for top in folders for p in people(top)]
    enrol: list[_Picture] = []
    show: list[_Picture] = []
    shots = [(who, i, f) for who, person in files for i, f in enumerate(pictures(person))]
    for done, (who, i, path) in enumerate(shots):
        (show if i % 2 else enrol).append(_look(who, path, analyser))
        progress(done + 1, len(shots))
    return _count(enrol, show, analyser, threshold, margin)


def _count(
    enrol: Sequence[_Picture],
    show: Sequence[_Picture],
    analyser: FaceAnalyser,
    threshold: Callable[[int], float],
    margin: float,
) -> Counts:
    templates: dict[PersonId, list[Embedding]] = {}
    for picture in enrol:
        if picture.embedding is not None:
            templates.setdefault(picture.person, []).append(picture.embedding)
    gallery = Gallery.of(analyser.model_id, templates)
    limit = threshold(len(gallery.owner))
    counts = Counts(
        people=len(gallery),
        templates=len(gallery.owner),
        threshold=limit,
        margin=margin,
        failure_to_enrol=sum(p.embedding is None for p in enrol),
    )
    for picture in show:
        counts.shown += 1
        if picture.embedding is None:
            counts.failure_to_acquire += 1
            counts.not_identified += 1
            continue
        counts.poor_quality += not picture.usable
        _closed(counts, picture, gallery.search(picture.embedding), limit, margin)
        counts.strangers_shown += 1
        left_out = gallery.search_except(picture.embedding, picture.person)
        if _names(left_out, limit, margin):
            counts.strangers_identified += 1
            counts.mistakes.append(f"{picture.name} as a stranger named {left_out.person_id}")
    return counts


def _closed(counts: Counts, picture: _Picture, match: Match, limit: float, margin: float) -> None:
    if not _names(match, limit, margin):
        counts.not_identified += 1
    elif match.person_id == picture.person:
        counts.identified += 1
    else:
        counts.falsely_identified += 1
        counts.mistakes.append(f"{picture.name} named {match.person_id}")


def _names(match: Match, limit: float, margin: float) -> bool:
    return match.person_id is not None and match.score >= limit and match.margin >= margin


def people(top: Path) -> list[Path]:
    """One folder a person. Raises InvalidInput when there is none."""
    found = sorted(p for p in top.iterdir() if p.is_dir()) if top.is_dir() else []
    if not found:
        raise InvalidInput(f"{top}: holds no folders; give one folder a person, with two pictures or more")
    return found


def pictures(person: Path) -> list[Path]:
    """A person's picture files, by name."""
    return sorted(p for p in person.iterdir() if p.suffix.lower() in PICTURES)


def _look(who: PersonId, path: Path, analyser: FaceAnalyser) -> _Picture:
    name = f"{who}/{path.name}"
    try:
        faces = analyser.photograph(path.read_bytes())
    except InvalidInput:
        faces = ()
    if not faces:
        return _Picture(who, name, None, usable=False)
    return _Picture(who, name, faces[0].embedding, usable=faces[0].quality.usable)
