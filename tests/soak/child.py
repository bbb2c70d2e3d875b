"""A gateway without eyes: journal, portals, locks; grants come at random instead of people."""

import asyncio
import random
import sys
import time
from pathlib import Path

from gateway import settings
from gateway.domain.decisions import Grant
from gateway.domain.ids import AccessPointId, GatewayId, GrantId, PersonId, uuid7
from gateway.domain.readings import Direction
from gateway.doors import Doors
from gateway.portals import Portals
from gateway.storage.journal import SqliteJournal
from gateway.telemetry import logging as log_setup
from gateway.telemetry.clock import SystemClock
from gateway.walkup.door_actor import GrantOrder, settle_open_grants
from gateway.walkup.recorder import Recorder

PERSON = PersonId("0190b0a0-0000-7000-8000-000000000001")


async def visitors(portals: Portals, point: settings.AccessPoint, pause_s: float, ttl_s: float) -> None:
    """People at one access point; like an entrance they ask only where nothing stands in the way."""
    actor = portals.actor(point.door, point.direction)
    way = Direction(point.direction)
    while True:
        await asyncio.sleep(random.uniform(0.0, 2 * pause_s))
        if actor.busy or actor.portal.obstacle(way) is not None or not actor.door.health().ready:
            continue
        now = time.monotonic_ns()
        grant = Grant(
            grant_id=GrantId(uuid7(time.time_ns() // 1_000_000)),
            access_point_id=AccessPointId(point.id),
            person_id=PERSON,
            expires_ns=now + int(random.choice([ttl_s, ttl_s, 0.02, 0.002]) * 1e9),
        )
        actor.offer(GrantOrder(grant=grant, direction=way, facts={}, frame_ns=now))


async def main(site_file: Path, pause_s: float, ttl_s: float) -> None:
    log_setup.configure(level="critical")
    site = settings.load(site_file)
    clock = SystemClock()
    doors = Doors.of_site(site)
    journal = await SqliteJournal.open(Path(site.state_folder) / "journal.db", GatewayId(site.gateway_id))
    try:
        await settle_open_grants(journal, clock)
        recorder = Recorder(journal, clock)
        portals = Portals(
            site=site,
            doors=doors,
            journal=journal,
            recorder=recorder,
            clock=clock,
            on_passage=lambda _passage: None,
        ).compose()
        await doors.start(lambda _health: None)
        work = [recorder.run, *portals.parts().values()]
        tasks = [asyncio.create_task(part()) for part in work]
        tasks += [asyncio.create_task(visitors(portals, p, pause_s, ttl_s)) for p in site.access_points]
        print("serving", flush=True)  # noqa: T201
        over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        done, left = await asyncio.wait([over, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for task in done:
            task.result()
    finally:
        await doors.aclose()
        await journal.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
