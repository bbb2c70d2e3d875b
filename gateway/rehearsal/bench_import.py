"""``facegate bench import``: many people at once, beside the embedding of their photographs alone."""

import asyncio
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.bulk import Bulk, bulk
from gateway.domain.accounts import Actor, Role
from gateway.domain.imports import ImportRecord, LineResult
from gateway.foundation import enrolment_engine
from gateway.rehearsal.crowd import Crowd
from gateway.rehearsal.figures import spread
from gateway.services.enrolment import Judge, Photo
from gateway.settings import Site
from gateway.vision.photo import PhotoAnalyser

_ALONE = 100
"""Photographs embedded alone, before the import and again after it."""
_TRIES = 8
_TICK_S = 0.005
_TEXT = "bench-1"
_ME = Actor(id="command:bench", roles=frozenset({Role.HR}))

Say = Callable[[str], None]


@dataclass(slots=True)
class _Lag:
    """How late the event loop is for a task that wants to run every few milliseconds: a door's, say."""

    late_ms: list[float] = field(default_factory=list)

    async def watch(self) -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            self.late_ms.append((time.perf_counter() - asked - _TICK_S) * 1e3)


async def bench(people: int, pictures: Path | None, say: Say) -> dict[str, object]:
    """Figures of one run, with an embedded database made for it."""
    with tempfile.TemporaryDirectory(prefix="facegate-bench-") as folder:
        state = Path(folder)
        await asyncio.to_thread(state.chmod, 0o711)
        site = Site(
            name="bench",
            state_folder=str(state / "state"),
            cameras=(),
            devices=(),
            doors=(),
            access_points=(),
        )
        say(f"making {people} people …")
        made = await _make(site, state, people, pictures)
        async with bulk(site) as everything:
            async with everything.ground.stores.database.connection() as db:
                await db.execute(
                    "INSERT INTO consent_texts (version, language, body) VALUES ($1, 'en', 'bench')", _TEXT
                )
            return {"made": made, **await _measured(everything, state, people, say)}


async def _measured(everything: Bulk, state: Path, people: int, say: Say) -> dict[str, object]:
    files = sorted((state / "PHOTOS").iterdir())
    await _alone(everything.judge, files[:3])  # the process starts, the models load
    before = await _alone(everything.judge, files[:_ALONE])
    say("importing …")
    imported = await _import(everything, state, say)
    after = await _alone(everything.judge, files[-_ALONE:])
    say("importing the same again …")
    again = await _import(everything, state, say)
    alone_ms = spread([*before, *after])
    rate = 60_000 * len([*before, *after]) / sum([*before, *after])
    return {
        "people": people,
        "processors": os.cpu_count(),
        "embedding_alone_ms": alone_ms,
        "embedding_alone_people_a_minute": round(rate, 1),
        "import": imported,
        "share_of_embedding_alone": round(float(str(imported["people_a_minute"])) / rate, 3),
        "same_file_again": again,
        "most_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }


async def _import(everything: Bulk, state: Path, say: Say) -> dict[str, object]:
    results: Counter[str] = Counter()
    lag = _Lag()

    def begun(record: ImportRecord) -> Callable[[LineResult], None]:
        def told(result: LineResult) -> None:
            results[result.code or result.state.value] += 1
            if results.total() % 200 == 0:
                say(f"{results.total()} of {record.total}")

        return told

    watch = asyncio.create_task(lag.watch())
    began = time.perf_counter()
    try:
        record = await everything.command().run(
            _ME, state / "staff.csv", state / "PHOTOS", dry_run=False, begun=begun
        )
    finally:
        watch.cancel()
    seconds = time.perf_counter() - began
    return {
        "state": record.state.value,
        "seconds": round(seconds, 1),
        "people_a_minute": round(60 * record.done / seconds, 1),
        "results": dict(sorted(results.items())),
        "loop_late_ms": spread(lag.late_ms),
    }


async def _alone(judge: Judge, files: list[Path]) -> list[float]:
    """Milliseconds to judge and embed each photograph, with the engine that the import uses."""
    found = []
    for path in files:
        photo = Photo(name=path.name, data=await asyncio.to_thread(path.read_bytes))
        began = time.perf_counter()
        await judge.photograph(photo)
        found.append((time.perf_counter() - began) * 1e3)
    return found


async def _make(site: Site, state: Path, people: int, pictures: Path | None) -> dict[str, object]:
    """Staff file and photographs. A picture that no enrolment would take is taken again, as HR would."""
    engine = await asyncio.to_thread(enrolment_engine, site)
    crowd = await asyncio.to_thread(Crowd.of, engine, pictures)
    judge = Judge(PhotoAnalyser(engine))
    photos = state / "PHOTOS"
    await asyncio.to_thread(photos.mkdir)
    refused: Counter[str] = Counter()
    lines = ["number,name,department,consent_version,consent_given_on,consent_how"]
    began = time.perf_counter()
    for i in range(people):
        data = b""
        for attempt in range(_TRIES):
            data = await asyncio.to_thread(crowd.person, i * _TRIES + attempt)
            judged = (await judge.photograph(Photo(name="", data=data))).judged
            if judged.usable:
                break
            refused[judged.reasons[0].code] += 1
        await asyncio.to_thread((photos / f"B{i:05}.jpg").write_bytes, data)
        lines.append(f"B{i:05},Person {i},Bench,{_TEXT},2026-01-31,paper")
    await asyncio.to_thread((state / "staff.csv").write_text, "\n".join(lines) + "\n", "utf-8")
    return {
        "from_faces": len(crowd.faces),
        "taken_again_because": dict(sorted(refused.items())),
        "seconds": round(time.perf_counter() - began, 1),
    }
