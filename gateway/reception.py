"""The people's side of a running gateway: the API where the site asks for one, and the site's own rules."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import foundation
from gateway.api.routes_gateway import DoorOut, View
from gateway.ground import Ground
from gateway.ports import Clock
from gateway.privacy_desk import PrivacyDesk
from gateway.roster_desk import described
from gateway.running_gateway import Gateway
from gateway.security.keyring import KeyRing
from gateway.security.sealing import AesGcmSealer
from gateway.security.site_keys import WrappedSiteKeys
from gateway.services.keys import KeyWatch
from gateway.services.witness import Record
from gateway.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from gateway.office import Office

_FOREVER_S = 3600.0


@dataclass(slots=True, kw_only=True)
class Reception:
    """Made by ``reception``; its parts are tasks of the gateway."""

    gateway: Gateway
    ground: Ground
    watch: KeyWatch
    office: "Office | None" = None

    def parts(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What is to be kept running, by name."""
        found: dict[str, Callable[[], Awaitable[None]]] = {
            "retention": PrivacyDesk(ground=self.ground).retention().run,
            "keys": self.watch.run,
        }
        if self.office is not None:
            found |= {"imports": self.office.imports.run, "api": self.serve}
        return found

    async def serve(self) -> None:
        """Serve the API until cancelled. Raises ConfigError for an address that cannot be had."""
        if self.office is None:
            return
        try:
            async with self.office.open() as self.gateway.api_port:
                while True:
                    await asyncio.sleep(_FOREVER_S)
        finally:
            self.gateway.api_port = None


@contextlib.asynccontextmanager
async def reception(gateway: Gateway, keys: KeyRing) -> AsyncIterator[Reception]:
    """Compose it over connections of its own. Raises ConfigError, ModelMissing for what can never work."""
    site, clock = gateway.site, SystemClock()
    sealer = AesGcmSealer(keys)
    async with contextlib.AsyncExitStack() as stack:
        stores = foundation.beside(gateway.stores)
        stack.push_async_callback(stores.close)
        ground = Ground(
            site=site,
            stores=stores,
            sealer=sealer,
            site_keys=WrappedSiteKeys(stores.site_keys, keys),
            record=Record(gateway.journal, clock, sealer),
            clock=clock,
        )
        watch = foundation.key_watch(site, stores, keys, clock)
        if site.api is None:
            yield Reception(gateway=gateway, ground=ground, watch=watch)
            return
        # A gateway without an API is spared a second of its start, and the memory.
        from gateway import enrolment_desk
        from gateway.bulk import bulk_of
        from gateway.office import Office, check
        from gateway.services.enrolment import Judge

        check(site.api)
        analyser = await asyncio.to_thread(enrolment_desk.photo_process, site)
        stack.push_async_callback(asyncio.to_thread, analyser.close)
        office = Office(
            settings=site.api,
            ground=ground,
            desk=enrolment_desk.desk(ground, analyser),
            imports=bulk_of(ground, Judge(analyser)).imports(),
            view=view_of(gateway, watch, clock),
        )
        yield Reception(gateway=gateway, ground=ground, watch=watch, office=office)


def view_of(gateway: Gateway, watch: KeyWatch, clock: Clock) -> View:
    """What the API says of a gateway."""
    return View(
        gateway=gateway.site.gateway_id,
        ready=lambda: gateway.ready,
        doors=lambda: _doors(gateway),
        cameras=lambda: gateway.cameras,
        database=lambda: gateway.database_up,
        roster=lambda: described(gateway.roster, clock),
        keys=watch.health,
        journal_waits=gateway.journal.backlog,
    )


def _doors(gateway: Gateway) -> Sequence[DoorOut]:
    return [
        DoorOut(
            id=lock_id,
            name=gateway.site.opening(lock_id.partition(".")[0]).name,
            link=health.link.value,
            ready=health.ready,
            detail=health.detail,
            alarms=sorted(health.alarms),
            pulse_class=health.facts.get("class", ""),
            round_trip_p99_ms=health.rtt_p99_ms,
        )
        for lock_id, health in gateway.health().items()
    ]
