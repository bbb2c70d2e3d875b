"""``/api/v1/doors`` and ``/api/v1/health``: how this gateway is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway import __version__
from gateway.api.routing import EVERY_ROLE, Call, Route
from gateway.domain.accounts import Role
from gateway.domain.errors import Unavailable
from gateway.domain.sightings import CameraReport


class DoorOut(msgspec.Struct, frozen=True, kw_only=True):
    """One lock of this gateway: a door's, or one direction of a turnstile."""

    id: str
    name: str
    link: str
    """Of the controller: up, down, unarmed or degraded."""
    ready: bool
    detail: str
    alarms: Sequence[str]
    pulse_class: str
    round_trip_p99_ms: float | None


class DoorsOut(msgspec.Struct, frozen=True, kw_only=True):
    """All locks of this gateway."""

    items: Sequence[DoorOut]


class PartOut(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the gateway."""

    name: str
    state: str
    detail: str = ""


class HealthOut(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway is; the first thing to look at."""

    ready: bool
    version: str
    gateway: str
    parts: Sequence[PartOut]


class LiveOut(msgspec.Struct, frozen=True, kw_only=True):
    """It runs."""

    status: str = "alive"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the routes read of the gateway; each is quick and never blocks."""

    gateway: str
    ready: Callable[[], bool]
    doors: Callable[[], Sequence[DoorOut]]
    cameras: Callable[[], Mapping[str, CameraReport]]
    database: Callable[[], bool]
    roster: Callable[[], str]
    keys: Callable[[], str]
    """``right``, or what is wrong with the master keys or not known of them."""
    journal_waits: Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRoutes:
    """Doors, health, and whether a load balancer may send requests here."""

    view: View

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        return (
            Route(
                method="GET",
                path="/api/v1/doors",
                handler=self.list_doors,
                summary="The doors of this gateway and how they are",
                tag="gateway",
                roles=EVERY_ROLE,
                scope="doors:read",
                answer=DoorsOut,
            ),
            Route(
                method="GET",
                path="/api/v1/health",
                handler=self.read_health,
                summary="How every part of this gateway is",
                tag="gateway",
                roles=frozenset({Role.OPERATOR, Role.GUARD, Role.ADMINISTRATOR}),
                scope="health:read",
                answer=HealthOut,
            ),
            Route(
                method="GET",
                path="/livez",
                handler=self.live,
                summary="The process runs",
                tag="gateway",
                roles=None,
                answer=LiveOut,
            ),
            Route(
                method="GET",
                path="/readyz",
                handler=self.be_ready,
                summary="Doors, cameras and roster are there",
                tag="gateway",
                roles=None,
                answer=LiveOut,
                errors=("not_ready",),
            ),
        )

    async def list_doors(self, _call: Call) -> DoorsOut:
        """All locks."""
        return DoorsOut(items=self.view.doors())

    async def read_health(self, _call: Call) -> HealthOut:
        """All parts."""
        parts = [
            PartOut(name="database", state="up" if self.view.database() else "away"),
            PartOut(name="roster", state=self.view.roster()),
            _keys(self.view.keys()),
            PartOut(
                name="journal", state="up", detail=f"{await self.view.journal_waits()} events to forward"
            ),
        ]
        parts += [
            PartOut(name=f"camera {name}", state=report.state.value, detail=report.detail)
            for name, report in sorted(self.view.cameras().items())
        ]
        return HealthOut(ready=self.view.ready(), version=__version__, gateway=self.view.gateway, parts=parts)

    async def live(self, _call: Call) -> LiveOut:
        """Always, as long as it answers at all."""
        return LiveOut()

    async def be_ready(self, _call: Call) -> LiveOut:
        """Raises Unavailable (code "not_ready")."""
        if not self.view.ready():
            raise Unavailable("doors, cameras or the roster are not all there yet", code="not_ready")
        return LiveOut(status="ready")


def _keys(said: str) -> PartOut:
    if said == "right":
        return PartOut(name="keys", state="right")
    return PartOut(name="keys", state="doubtful", detail=said)
