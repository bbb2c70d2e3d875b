"""``facegate trial``: the whole gateway over anyone's own video, before anything is wired."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drivers.simulators.door_controller import DoorController
from gateway.app import running
from gateway.domain.errors import EnrolmentRefused, InvalidInput
from gateway.domain.ids import PersonId
from gateway.domain.sightings import CameraState
from gateway.enrolment_desk import enrolling
from gateway.rehearsal import ledger, report
from gateway.rehearsal.evaluate import PICTURES
from gateway.rehearsal.report import Line
from gateway.rehearsal.stage import RELAY, Staging, at_the_relay, site, until_over
from gateway.running_gateway import Gateway, Watch
from gateway.services.enrolment import Photo, photo_files
from gateway.settings import Camera, Site
from gateway.walkup.decided import Decided

CONSENT = "rehearsal on this machine; erased at its end"


@dataclass(slots=True)
class Cast:
    """Who was enrolled, and what was refused."""

    people: dict[str, Line] = field(default_factory=dict)

    @property
    def templates(self) -> int:
        """How many there are in all."""
        return sum(len(p["photos"]) for p in self.people.values() if isinstance(p["photos"], list))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller may choose."""

    staging: Staging = field(default_factory=lambda: Staging(door="trial"))
    every_frame: bool = True
    """Analyse every frame as fast as possible; False plays at the recording's own pace, as at a door."""


async def trial(enrol: Path, clips: Sequence[Path], options: Options, emit: Callable[[Line], None]) -> Line:
    """Run; each decision's line goes to ``emit``, the summary is returned. Raises InvalidInput."""
    for clip in clips:
        if not await asyncio.to_thread(clip.is_file):
            raise InvalidInput(f"--clip {clip}: there is no such file")
    with tempfile.TemporaryDirectory(prefix="facegate-trial-") as folder:
        state = Path(folder)
        await asyncio.to_thread(state.chmod, 0o711)
        async with DoorController() as board:
            first = _site(state, clips[0], board, options)
            cast = await _enrol(first, enrol)
            lines: list[Line] = []
            played = []
            for clip in clips:

                def take(line: Line) -> None:
                    lines.append(line)
                    emit(line)

                played.append(await _play(_site(state, clip, board, options), clip, board, take))
            checked = await ledger.check(first)
            return _summary(cast, lines, played, board.pulses(RELAY), chain=checked.whole)


def _site(state: Path, clip: Path, board: DoorController, options: Options) -> Site:
    pace = "every-frame" if options.every_frame else "own"
    camera = Camera(id="clip", url=str(clip.resolve()), pace=pace)  # type: ignore[arg-type]  # one of the two
    return site(state, camera, board, options.staging)


async def _play(settings: Site, clip: Path, board: DoorController, emit: Callable[[Line], None]) -> Line:
    """One clip through a gateway of its own, with the people that are there already."""
    found: list[Gateway] = []

    def decided(one: Decided) -> None:
        line = report.as_json(one, number_of(found[0], one.person_id))
        emit({**line, "latency_ms": round(at_the_relay(one, board), 1), "clip": clip.name})

    async with running(settings, Watch(decided=decided), roster_first=True) as gateway:
        found.append(gateway)
        await until_over(gateway)
        camera = gateway.cameras["clip"]
        if camera.state is CameraState.DOWN:
            raise InvalidInput(f"--clip {clip}: {camera.detail}")
        return {
            "clip": clip.name,
            "frames": camera.frames,
            "analysed": camera.analysed,
            "dropped": camera.dropped,
        }


def number_of(gateway: Gateway, person: PersonId | None) -> str | None:
    """What the person is called in the enrolment folder."""
    roster = gateway.roster.current()
    if person is None or roster is None or person not in roster.people:
        return None
    return roster.people[person].number


async def _enrol(settings: Site, folder: Path) -> Cast:
    people = await asyncio.to_thread(_people, folder)
    cast = Cast()
    async with enrolling(settings) as enrolment:
        for name, paths in people.items():
            photos, refused = [], []
            for photo in photo_files(paths):
                try:
                    await enrolment.check(photo)
                    photos.append(photo)
                except EnrolmentRefused as error:
                    refused.append({"code": error.code, "why": str(error)})
            try:
                await enrolment.enrol(number=name, name=name, photos=photos, consent=CONSENT)
            except EnrolmentRefused as error:
                refused.append({"code": error.code, "why": str(error)})
                photos = list[Photo]()
            cast.people[name] = {"photos": [p.name for p in photos], "refused": [*refused]}
    if not cast.templates:
        reasons = "; ".join(str(r["why"]) for p in cast.people.values() for r in _refusals(p))
        raise InvalidInput(f"--enrol {folder}: nobody could be enrolled: {reasons}")
    return cast


def _refusals(person: Line) -> list[dict[str, str]]:
    found = person["refused"]
    return found if isinstance(found, list) else []


def _people(folder: Path) -> dict[str, list[Path]]:
    """One photograph or one folder of photographs a person."""
    if folder.is_file():
        return {folder.stem: [folder]}
    if not folder.is_dir():
        raise InvalidInput(f"--enrol {folder}: there is no such folder")
    people = {}
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            pictures = sorted(p for p in entry.iterdir() if p.suffix.lower() in PICTURES)
            if pictures:
                people[entry.name] = pictures
        elif entry.suffix.lower() in PICTURES:
            people[entry.stem] = [entry]
    if not people:
        raise InvalidInput(f"--enrol {folder}: holds no photographs; give one, or a folder of them, a person")
    return people


def _summary(cast: Cast, lines: Sequence[Line], played: Sequence[Line], pulses: int, *, chain: bool) -> Line:
    granted = [line for line in lines if line["kind"] == "granted"]
    return {
        "kind": "summary",
        "people": cast.people,
        "clips": list(played),
        "granted": len(granted),
        "granted_people": sorted({str(line["person"]) for line in granted}),
        "denied": len(lines) - len(granted),
        "pulses": pulses,
        "pulses_match_grants": pulses == len(granted),
        "chain_whole": chain,
    }
