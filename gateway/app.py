"""Composition root: settings → adapters → services → tasks. The only file that knows everything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import structlog

from gateway import __version__, foundation
from gateway.api.metrics import serving
from gateway.domain.errors import GatewayError, JournalUnavailable, Unavailable
from gateway.domain.events import EventDraft, EventKind
from gateway.domain.ids import GatewayId
from gateway.doors import Doors
from gateway.eyes import Behind, Eyes, Listeners
from gateway.portals import Portals
from gateway.reception import Reception, reception
from gateway.roster_desk import RosterDesk
from gateway.running_gateway import Gateway, Watch
from gateway.security.sealing import AesGcmSealer
from gateway.services.forwarder import Forwarder
from gateway.settings import Site
from gateway.storage.journal import SqliteJournal
from gateway.telemetry.clock import SystemClock
from gateway.telemetry.door_metrics import registry
from gateway.vision import engine, models
from gateway.walkup.door_actor import settle_open_grants
from gateway.walkup.recorder import Recorder
from gateway.walkup.supervision import keep_running

_log = structlog.get_logger(__name__)

_DRAIN_S = 3.0
_SERVED_S = 30.0


@contextlib.asynccontextmanager
async def running(
    site: Site, watch: Watch | None = None, *, roster_first: bool = False
) -> AsyncIterator[Gateway]:
    """A whole gateway from entry to exit.

    ``roster_first`` waits for people and doors before the cameras start: a recording plays only once.

    Raises ConfigError, ModelMissing, JournalUnavailable, Rejected when it cannot start; after that trouble
    of a part stays with that part.
    """
    clock = SystemClock()
    state = await asyncio.to_thread(foundation.state_folder, site)
    folder = foundation.models_folder(site)
    await asyncio.to_thread(engine.check_all, folder)
    if not await asyncio.to_thread(engine.liveness_present, folder):
        shut = [p.id for p in site.access_points if p.liveness == "required"]
        _log.error("LIVENESS_MODEL_IS_MISSING", doors_that_stay_shut=shut, fix="facegate models pull")
    doors = Doors.of_site(site)
    async with contextlib.AsyncExitStack() as stack:
        journal = await SqliteJournal.open(state / "journal.db", GatewayId(site.gateway_id))
        stack.push_async_callback(journal.close)
        await settle_open_grants(journal, clock)
        stores = foundation.stores(site)
        stack.push_async_callback(stores.close)
        keys = await foundation.master_keys(site, stores)
        model_id = models.manifest(folder).of("embedder").model_id
        recorder = Recorder(journal, clock)
        sealer = AesGcmSealer(keys)
        desk = RosterDesk(site=site, stores=stores, sealer=sealer, model_id=model_id, clock=clock)
        gateway = Gateway(
            site=site,
            watch=watch or Watch(),
            journal=journal,
            stores=stores,
            roster=desk.sync(recorder.note),
            forwarder=Forwarder(journal, stores.events),
            recorder=recorder,
            doors=doors,
        )
        _compose(gateway, folder, clock)
        await journal.append(_started(gateway, clock))
        if site.metrics is not None:
            found = registry(lambda: gateway.health().values(), clock)
            await stack.enter_async_context(serving(site.metrics, found))
        await doors.start(gateway.take_door)
        stack.push_async_callback(doors.aclose)
        front = await stack.enter_async_context(reception(gateway, keys))
        async with asyncio.TaskGroup() as tasks:
            parts = _start_parts(gateway, front, tasks)
            try:
                if roster_first:
                    await _until_served(gateway)
                parts += _start_eyes(gateway, tasks)
                yield gateway
            finally:
                await _stop(gateway, parts, clock)


def _compose(gateway: Gateway, folder: Path, clock: SystemClock) -> None:
    """Doors, eyes, and who speaks to whom."""
    gateway.portals = Portals(
        site=gateway.site,
        doors=gateway.doors,
        journal=gateway.journal,
        recorder=gateway.recorder,
        clock=clock,
        on_passage=gateway.take_passage,
    ).compose()
    gateway.eyes = Eyes.of_site(
        gateway.site,
        folder,
        Behind(
            actor=lambda point: gateway.portals.actor(point.door, point.direction),
            pulse_ns=lambda point: gateway.doors.pulse_ns(point.door, point.direction),
            roster=gateway.roster,
            journal=gateway.journal,
            clock=clock,
        ),
        Listeners(
            decided=gateway.take_decided,
            sighting=gateway.watch.sighting,
            report=gateway.take_report,
            worker=gateway.take_worker,
        ),
    )


def _start_parts(gateway: Gateway, front: Reception, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    """Every task has a name, an owner, and somebody who starts it again."""
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "database": gateway.tend_database,
        "roster": gateway.roster.run,
        "forwarder": gateway.forwarder.run,
        "recorder": gateway.recorder.run,
    }
    parts |= front.parts()
    parts |= gateway.portals.parts()
    parts |= {f"entrance-{name}": entrance.run for name, entrance in gateway.eyes.entrances.items()}
    return [_start_part(gateway, tasks, name, part) for name, part in parts.items()]


def _start_eyes(gateway: Gateway, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    return [_start_part(gateway, tasks, worker.name, worker.run) for worker in gateway.workers]


def _start_part(
    gateway: Gateway, tasks: asyncio.TaskGroup, name: str, part: Callable[[], Awaitable[None]]
) -> asyncio.Task[None]:
    return tasks.create_task(keep_running(name, part, gateway.part_failed), name=name)


async def _until_served(gateway: Gateway) -> None:
    """Wait for roster and doors. Raises Unavailable saying what is missing."""
    try:
        async with asyncio.timeout(_SERVED_S):
            while gateway.roster.current() is None or not gateway.doors.ready:
                await asyncio.sleep(0.02)
    except TimeoutError:
        doors = "; ".join(f"{p}: {h.link.value} {h.detail}" for p, h in gateway.health().items())
        raise Unavailable(f"not ready after {_SERVED_S:g} s: {doors}") from None


async def _stop(gateway: Gateway, parts: list[asyncio.Task[None]], clock: SystemClock) -> None:
    """Cameras first, then grants under way, then doors OFF, then the record."""
    eyes = {worker.name for worker in gateway.workers}
    await _cancel([t for t in parts if t.get_name() in eyes])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while not gateway.idle:
                await asyncio.sleep(0.02)
    await _cancel([t for t in parts if t.get_name().startswith(("entrance-", "door-actor-", "portal-"))])
    await gateway.doors.aclose()
    await _cancel(parts)
    await gateway.recorder.flush()
    with contextlib.suppress(JournalUnavailable):
        await gateway.journal.append(
            EventDraft(kind=EventKind.GATEWAY_STOPPED, at=clock.now(), mono_ns=clock.monotonic_ns())
        )
    try:
        async with asyncio.timeout(_DRAIN_S):
            await gateway.forwarder.flush()
    except (GatewayError, TimeoutError) as error:  # they wait in the journal for the next start
        _log.warning("events_left_in_the_journal", why=str(error) or "time-out")


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _started(gateway: Gateway, clock: SystemClock) -> EventDraft:
    off = [p.id for p in gateway.site.access_points if p.liveness == "off"]
    return EventDraft(
        kind=EventKind.GATEWAY_STARTED,
        at=clock.now(),
        mono_ns=clock.monotonic_ns(),
        data={"version": __version__, "model": gateway.roster.model_id, "liveness_off": [*off]},
    )
