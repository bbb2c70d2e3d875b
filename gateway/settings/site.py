"""The whole site file."""

import msgspec

from gateway.domain.errors import InvalidInput
from gateway.settings.openings import Door, Interlock, Turnstile
from gateway.settings.sections import (
    AccessPoint,
    Api,
    Camera,
    Database,
    Device,
    Enrolment,
    Ident,
    Keys,
    Metrics,
    Privacy,
    Recognition,
    Roster,
    Section,
    Vision,
)


class Site(Section, frozen=True, kw_only=True):
    """The whole site file."""

    name: str
    gateway_id: Ident = "gateway-1"
    state_folder: str
    models_folder: str | None = None
    profiles_folder: str | None = None
    """The site's own device profiles, beside the shipped ones."""
    database: Database = msgspec.field(default_factory=Database)
    keys: Keys = msgspec.field(default_factory=Keys)
    cameras: tuple[Camera, ...]
    devices: tuple[Device, ...]
    doors: tuple[Door, ...] = ()
    turnstiles: tuple[Turnstile, ...] = ()
    interlocks: tuple[Interlock, ...] = ()
    access_points: tuple[AccessPoint, ...]
    vision: Vision = msgspec.field(default_factory=Vision)
    recognition: Recognition = msgspec.field(default_factory=Recognition)
    roster: Roster = msgspec.field(default_factory=Roster)
    enrolment: Enrolment = msgspec.field(default_factory=Enrolment)
    metrics: Metrics | None = None
    api: Api | None = None
    privacy: Privacy = msgspec.field(default_factory=Privacy)

    def opening(self, door: str) -> Door | Turnstile:
        """A door or turnstile by its id. Raises InvalidInput naming those there are."""
        every: tuple[Door | Turnstile, ...] = (*self.doors, *self.turnstiles)
        for one in every:
            if one.id == door:
                return one
        known = ", ".join(one.id for one in every) or "none"
        raise InvalidInput(f'no door has the id "{door}"; there is: {known}')
