"""One gateway of ``facegate bench revoke``, in a process of its own: its roster, and somebody at its door."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from multiprocessing.connection import Connection

import structlog

from gateway import foundation
from gateway.domain.access import Rules, Situation, decide
from gateway.domain.decisions import Grant
from gateway.domain.identity import Recognised
from gateway.domain.ids import AccessPointId, GrantId, ModelId, PersonId
from gateway.roster_desk import RosterDesk
from gateway.services.roster import RosterSync
from gateway.settings import Site
from gateway.telemetry.clock import SystemClock

DOOR = "main"
MODEL = ModelId("bench:1")
_EVERY_S = 0.001
_HOUR_NS = 3600 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a process is told."""

    site: Site
    person_id: PersonId
    """Who stands at the door."""
    listens: bool
    """Or only polls."""


def serve(pipe: Connection, orders: Orders) -> None:
    """Send (granted, monotonic ns) at every change of the decision, until the other side hangs up."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):
        asyncio.run(_serve(pipe, orders))


async def _serve(pipe: Connection, orders: Orders) -> None:
    await asyncio.to_thread(foundation.state_folder, orders.site)
    clock, stores = SystemClock(), foundation.stores(orders.site)
    try:
        sealer = await foundation.sealer(orders.site, stores)
        desk = RosterDesk(site=orders.site, stores=stores, sealer=sealer, model_id=MODEL, clock=clock)
        sync = desk.sync(lambda _kind, _data: None)
        if not orders.listens:
            sync.news = None
        following = asyncio.create_task(sync.run(), name="roster")
        try:
            await _decide(pipe, orders.person_id, sync, clock)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    finally:
        await stores.close()


async def _decide(pipe: Connection, who: PersonId, sync: RosterSync, clock: SystemClock) -> None:
    rules = Rules(
        access_point_id=AccessPointId(DOOR),
        liveness_required=False,
        evidence_max_age_ns=10**9,
        roster_max_age_ns=_HOUR_NS,
        grant_ttl_ns=10**9,
    )
    looks_like = Recognised(person_id=who, score=0.9, margin=0.5, live=None)
    before = False
    while not pipe.poll():  # the other side never sends: something to read is its end
        now_ns = clock.monotonic_ns()
        verdict = decide(
            looks_like,
            rules,
            Situation(
                now_ns=now_ns,
                now=clock.now(),
                evidence_ns=now_ns,
                roster=sync.current(),
                liveness_available=True,
                door_ready=True,
                door_busy=False,
            ),
            GrantId("bench"),
        )
        granted = isinstance(verdict, Grant)
        if granted is not before:
            pipe.send((granted, clock.monotonic_ns()))
            before = granted
        await asyncio.sleep(_EVERY_S)
