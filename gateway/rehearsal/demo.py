"""``facegate demo``: everything embedded, a simulated camera and door, and the record of it."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drivers.simulators.camera import SimulatedCamera
from drivers.simulators.door_controller import DoorController
from drivers.simulators.film import Shot
from gateway.app import running
from gateway.commands import commanding
from gateway.domain.accounts import Role
from gateway.domain.errors import EnrolmentRefused
from gateway.domain.sightings import CameraState
from gateway.enrolment_desk import enrolling
from gateway.rehearsal import ledger, portraits, report
from gateway.rehearsal.acts import Mark, demo_acts, shoot
from gateway.rehearsal.report import Line
from gateway.rehearsal.stage import RELAY, Staging, at_the_relay, site, until_over, until_ready
from gateway.running_gateway import Gateway, Watch
from gateway.services.accounts import ApiKeys
from gateway.services.enrolment import Enrolment, Photo
from gateway.settings import Api, Camera, Site
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser
from gateway.walkup.decided import Decided

CONSENT = "demo: a picture in the public domain, or the visitor's own"
_SHOT = Shot(size=(720, 960), fps=15, seconds=5.0)
_ALWAYS = 10**9

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a visitor may choose."""

    state: Path
    once: bool = False
    """Play once and check; else go on until stopped."""
    camera: str | None = None
    """The visitor's own camera, recording or device."""
    people: tuple[tuple[str, Path], ...] = ()
    """The visitor's own people: name and photograph."""
    seconds: float = 60.0
    """How long ``once`` watches a live camera of the visitor's."""


@dataclass(slots=True)
class _Show:
    """What happened, in order, and where in the film."""

    board: DoorController
    say: Say
    marks: Sequence[Mark] = ()
    sent: dict[int, int] = field(default_factory=dict)
    """Film frame by the monotonic time at which it was sent."""
    events: list[Line] = field(default_factory=list)
    gateway: Gateway | None = None

    def decided(self, one: Decided) -> None:
        name = self._name(one)
        line = {**report.as_json(one, name), "latency_ms": round(at_the_relay(one, self.board), 1)}
        act = self._act(one.frame_ns)
        if act is not None:
            line["act"] = act.act.name
        self.events.append(line)
        self.say(f"{one.captured_at[11:19]}  {report.as_text(one, name, at_the_relay(one, self.board))}")

    def _name(self, one: Decided) -> str | None:
        roster = self.gateway.roster.current() if self.gateway else None
        if one.person_id is None or roster is None or one.person_id not in roster.people:
            return None
        return roster.people[one.person_id].name

    def _act(self, frame_ns: int) -> Mark | None:
        """The act of the newest picture sent before a frame arrived."""
        before = [index for at, index in self.sent.items() if at <= frame_ns]
        if not before:
            return None
        return next((m for m in self.marks if m.first <= before[-1] <= m.last), None)


async def demo(options: Options, say: Say) -> Line:
    """Run the demo; returns its summary with ``ok``."""
    state = options.state.resolve()
    await asyncio.to_thread(_fresh, state)
    say(f"State (database, key, journal, film) is in {state}")
    async with DoorController() as board, _camera(options, state, say) as (camera, show):
        show.board = board
        settings = site(state, camera, board, Staging(api=Api(port=0)))
        say("Enrolling …")
        async with enrolling(settings) as enrolment:
            await _enrol(enrolment, options, say)
        token = await _key(settings)
        say(f"Relay board at {board.host}:{board.port}; camera {camera.url}. Liveness is required. Watch:")
        await _serve(settings, options, show, token)
        checked = await ledger.check(settings)
        return _summary(state, options, show, checked)


async def _key(settings: Site) -> str:
    """An API key for whoever looks at the demo."""
    async with commanding(settings) as ground:
        keys = ApiKeys(store=ground.stores.api_keys, acted=ground.record.acted, clock=ground.clock)
        _, token = await keys.create(
            ground.actor, name="demo", roles=frozenset({Role.HR}), scopes=frozenset(), expires_at=None
        )
    return token


async def _serve(settings: Site, options: Options, show: _Show, token: str) -> None:
    async with running(settings, Watch(decided=show.decided), roster_first=True) as gateway:
        show.gateway = gateway
        await until_ready(gateway)
        if gateway.api_port is not None:
            base = f"http://127.0.0.1:{gateway.api_port}/api/v1"
            show.say(
                f"HR's API: {base}/reference; try: curl -H 'Authorization: Bearer {token}' {base}/people"
            )
        if not options.once:
            await asyncio.sleep(_ALWAYS)
        elif options.camera is None:
            await _until_film_ends(show, gateway)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.seconds):
                    await until_over(gateway)


async def _until_film_ends(show: _Show, gateway: Gateway) -> None:
    last = show.marks[-1].last
    while not any(index >= last for index in show.sent.values()):
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)
    while not gateway.idle:
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _camera(options: Options, state: Path, say: Say) -> AsyncIterator[tuple[Camera, _Show]]:
    """The visitor's camera, or a simulated one that plays the film over RTSP."""
    show = _Show(DoorController(), say)
    if options.camera is not None:
        yield Camera(id="camera", url=_address(options.camera)), show
        return
    say("Filming the walk-ups (H.264, 720x960, an upright door camera) …")
    film = state / "walk-ups.mp4"
    show.marks = await asyncio.to_thread(_film, film)

    def sent(index: int, mono_ns: int) -> None:
        show.sent[mono_ns] = index

    async with SimulatedCamera(film, loop=not options.once, await_client=True, on_frame=sent) as simulated:
        yield Camera(id="camera", url=simulated.rtsp_url), show


def _address(given: str) -> str:
    """A recording's path made absolute; anything else as it is."""
    return given if "://" in given or given.startswith("/dev/video") else str(Path(given).resolve())


def _film(path: Path) -> list[Mark]:
    analyser = _analyser()
    return shoot(demo_acts(portraits.collins(analyser), portraits.hopper(analyser), _SHOT), path, _SHOT)


def _analyser() -> PhotoAnalyser:
    return PhotoAnalyser(FaceEngine.load(models.default_folder(), threads=2))


def _fresh(state: Path) -> None:
    """Begin anew: a demo's state is nobody's record."""
    marker = state / "this-is-a-facegate-demo"
    if state.exists() and any(state.iterdir()) and not marker.exists():
        raise EnrolmentRefused(f"{state} exists and is not a demo's; choose another folder with --state")
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o711)
    marker.touch()


async def _enrol(enrolment: Enrolment, options: Options, say: Say) -> None:
    people = [
        (name, Photo(name=p.name, data=await asyncio.to_thread(p.read_bytes))) for name, p in options.people
    ]
    if not people:
        collins = await asyncio.to_thread(portraits.collins, enrolment.analyser)
        people = [(collins.name, Photo(name="astronaut.png", data=collins.png()))]
    for number, (name, photo) in enumerate(people, start=1):
        done = await enrolment.enrol(number=str(number), name=name, photos=[photo], consent=CONSENT)
        say(f"  {name}: enrolled, quality {done.quality:.2f}")


def _summary(state: Path, options: Options, show: _Show, checked: ledger.Checked) -> Line:
    acts = [_judge(mark, show.events) for mark in show.marks]
    granted = [e for e in show.events if e["kind"] == "granted"]
    pulses = show.board.pulses(RELAY)
    cameras = show.gateway.cameras.values() if show.gateway else ()
    seen = options.camera is None or any(c.frames > 0 and c.state is not CameraState.DOWN for c in cameras)
    ok = checked.whole and pulses == len(granted) and all(bool(a["ok"]) for a in acts) and seen
    return {
        "ok": ok,
        "acts": acts,
        "events": show.events,
        "pulses": pulses,
        "grants": len(granted),
        "chain": {
            name: {"events": v.events, "whole": v.whole, "fault": v.fault.reason if v.fault else None}
            for name, v in checked.verdicts.items()
        },
        "journal_and_ledger_agree": checked.difference is None,
        "state_folder": str(state),
    }


def _judge(mark: Mark, events: Sequence[Line]) -> Line:
    """What an act had to bring, and what it brought."""
    mine = [e for e in events if e.get("act") == mark.act.name]
    granted = {str(e["person"]) for e in mine if e["kind"] == "granted"}
    reasons = {str(e["reason"]) for e in mine if e["kind"] == "denied"}
    if mark.act.granted is not None:
        ok = granted == {mark.act.granted}
    elif mark.act.denied:
        ok = not granted and bool(reasons & {r.value for r in mark.act.denied})
    else:
        ok = not mine
    return {
        "act": mark.act.name,
        "expected": f"granted to {mark.act.granted}"
        if mark.act.granted
        else f"denied: {' or '.join(sorted(mark.act.denied))}"
        if mark.act.denied
        else "nothing",
        "granted": sorted(granted),
        "denied": sorted(reasons),
        "ok": ok,
    }
