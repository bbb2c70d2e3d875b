"""``facegate bench walkup``: from a frame's arrival to the relay's coil edge, beside the peer.

Two employees take turns walking up before a simulated network camera (real H.264 over RTSP, real time);
everything else is a gateway as it is run: vision worker, embedded Postgres, journal with fsync, Modbus.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from drivers.simulators.camera import SimulatedCamera
from drivers.simulators.door_controller import DoorController
from drivers.simulators.film import Shot, empty, walk_up
from gateway.app import running
from gateway.domain.errors import Unavailable
from gateway.domain.faces import Image
from gateway.enrolment_desk import enrolling
from gateway.rehearsal import peer, portraits
from gateway.rehearsal.acts import Act, shoot
from gateway.rehearsal.figures import spread
from gateway.rehearsal.portraits import Portrait
from gateway.rehearsal.stage import Staging, edge_of, site, until_ready
from gateway.running_gateway import Watch
from gateway.services.enrolment import Photo
from gateway.settings import Camera
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser
from gateway.walkup.decided import Decided

SHOT = Shot(size=(720, 960), fps=15, seconds=1.4)
_BREAK = Shot(size=(720, 960), fps=15, seconds=0.6)
_PEER_FRAMES = 60
_ROUNDS = 4

Say = Callable[[str], None]


@dataclass(slots=True)
class _Run:
    """Decisions, and which picture of the film was newest when."""

    board: DoorController
    sent: list[tuple[int, int]] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)

    def picture_of(self, one: Decided) -> int | None:
        """Index in the film of the newest picture sent before the deciding frame arrived."""
        before = [index for at, index in self.sent if at <= one.frame_ns]
        return before[-1] if before else None


async def bench(walk_ups: int, *, with_peer: bool, say: Say) -> dict[str, object]:
    """Measure. Raises ModelMissing when the peer is wanted and not installed, Unavailable."""
    if with_peer:
        await asyncio.to_thread(peer.available)
    with tempfile.TemporaryDirectory(prefix="facegate-bench-") as folder:
        state = Path(folder)
        await asyncio.to_thread(state.chmod, 0o711)
        film = state / "walk-ups.mp4"
        say("Filming two employees …")
        cast = await asyncio.to_thread(_cast)
        await asyncio.to_thread(_shoot, cast, film)
        async with DoorController() as board:
            run = _Run(board)
            await _measure(run, cast, film, state, walk_ups, say)
            found = _figures(run)
            if with_peer:
                say("The peer on the same frames …")
                frames = await asyncio.to_thread(_frames, film, run)
                beside = await asyncio.to_thread(peer.measure, frames, [p.picture for p in cast])
                found["peer"] = beside
                found["times_faster"] = _ratios(found, beside)
            return found


def _cast() -> list[Portrait]:
    analyser = PhotoAnalyser(FaceEngine.load(models.default_folder(), threads=2))
    return [portraits.collins(analyser), portraits.hopper(analyser)]


def _shoot(cast: Sequence[Portrait], film: Path) -> None:
    """Several rounds, each with its own sway and light: a short loop would be taken for a hung camera."""
    acts = []
    for seed in range(1, _ROUNDS + 1):
        shot, rest = replace(SHOT, seed=seed), replace(_BREAK, seed=seed)
        for who in cast:
            acts.append(Act(name=who.name, pictures=partial(walk_up, who.picture, who.face, shot)))
            acts.append(Act(name="nobody", pictures=partial(empty, rest)))
    shoot(acts, film, SHOT)


async def _measure(
    run: _Run, cast: Sequence[Portrait], film: Path, state: Path, walk_ups: int, say: Say
) -> None:
    def sent(index: int, mono_ns: int) -> None:
        run.sent.append((mono_ns, index))

    async with SimulatedCamera(film, on_frame=sent) as simulated:
        camera = Camera(id="camera", url=simulated.rtsp_url)
        settings = site(state, camera, run.board, Staging(pulse_ms=500))
        async with enrolling(settings) as enrolment:
            for number, who in enumerate(cast, start=1):
                photo = Photo(name=who.name, data=who.png())
                await enrolment.enrol(number=str(number), name=who.name, photos=[photo], consent="benchmark")
        async with running(settings, Watch(decided=run.decided.append), roster_first=True) as gateway:
            await until_ready(gateway)
            say(f"{walk_ups} walk-ups, {SHOT.seconds + _BREAK.seconds:g} s each …")
            patience = asyncio.timeout(walk_ups * (SHOT.seconds + _BREAK.seconds) * 2 + 60)
            told = 0
            try:
                async with patience:
                    while (done := _granted(run)) < walk_ups:
                        if done >= told + 25:
                            told = done
                            say(f"  {done}")
                        await asyncio.sleep(0.1)
            except TimeoutError:
                raise Unavailable(
                    f"only {_granted(run)} of {walk_ups} walk-ups were granted in time"
                ) from None


def _granted(run: _Run) -> int:
    return sum(d.kind == "granted" for d in run.decided)


def _figures(run: _Run) -> dict[str, object]:
    granted = [d for d in run.decided if d.kind == "granted" and edge_of(d, run.board) is not None]
    edges = [edge_of(d, run.board) or 0 for d in granted]
    total = [(edge - d.frame_ns) / 1e6 for d, edge in zip(granted, edges, strict=True)]
    usable = [
        (edge - d.first_usable_ns) / 1e6
        for d, edge in zip(granted, edges, strict=True)
        if d.first_usable_ns is not None
    ]
    stages = _stages(granted, edges)
    whole = sum(float(np.mean(values)) for values in stages.values())
    return {
        "walk_ups": len(granted),
        "denied": len(run.decided) - len(granted),
        "frame_to_relay_ms": spread(total),
        "first_usable_to_relay_ms": spread(usable),
        "stages_ms": {
            name: {**spread(values), "share": round(float(np.mean(values)) / whole, 3)}
            for name, values in stages.items()
        },
        "camera": f"RTSP over TCP, H.264, {SHOT.size[0]}x{SHOT.size[1]}, {SHOT.fps} pictures a second",
        "samples_to_agree": "3 of 5, liveness required",
    }


def _stages(granted: Sequence[Decided], edges: Sequence[int]) -> dict[str, list[float]]:
    """Where the time goes, in the order of the road; the sum is the whole."""
    stages: dict[str, list[float]] = {}
    for one, edge in zip(granted, edges, strict=True):
        vision = dict(one.stages_ms)
        for name, value in vision.items():
            stages.setdefault(name, []).append(value)
        decided = (one.decided_ns - one.frame_ns) / 1e6 - sum(vision.values())
        stages.setdefault("hand over and recognise", []).append(max(0.0, decided))
        sent = one.sent_ns if one.sent_ns is not None else one.decided_ns
        stages.setdefault("journal (fsync) and queue", []).append((sent - one.decided_ns) / 1e6)
        stages.setdefault("relay", []).append((edge - sent) / 1e6)
    return stages


def _frames(film: Path, run: _Run) -> list[Image]:
    """The pictures of the film that decided, each once, at most ``_PEER_FRAMES``."""
    pictures = {run.picture_of(d) for d in run.decided if d.kind == "granted"}
    wanted = sorted(i for i in pictures if i is not None)
    chosen = set(wanted[:: max(1, len(wanted) // _PEER_FRAMES)])
    found: list[Image] = []
    index = 0
    capture = cv2.VideoCapture(str(film))
    try:
        while True:
            good, picture = capture.read()
            if not good:
                return found
            if index in chosen:
                found.append(np.asarray(picture, np.uint8))
            index += 1
    finally:
        capture.release()


def _ratios(found: dict[str, object], beside: dict[str, object]) -> dict[str, float]:
    """The peer's time for one frame over ours from frame to relay, at the same percentile."""
    ours, theirs = found["frame_to_relay_ms"], beside["frame_ms"]
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return {}
    return {p: round(theirs[p] / ours[p], 2) for p in ("p50", "p95", "p99")}
