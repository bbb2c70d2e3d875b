"""A portal that stands in nobody's way unless told so."""

from gateway.domain.decisions import DenyReason, Grant
from gateway.domain.doors import Actuation
from gateway.domain.readings import Direction


class FakePortal:
    def __init__(self) -> None:
        self.against: DenyReason | None = None
        self.surprise: DenyReason | None = None
        """Comes up between the decision and the reservation."""
        self.told: list[tuple[str, str]] = []

    def obstacle(self, direction: Direction) -> DenyReason | None:
        return self.against

    def reserve(self, grant: Grant, direction: Direction) -> DenyReason | None:
        self.told.append(("reserve", grant.grant_id))
        return self.surprise or self.against

    def released(self, grant: Grant, direction: Direction) -> None:
        self.told.append(("released", grant.grant_id))

    def settled(self, grant: Grant, actuation: Actuation | None) -> None:
        self.told.append(("settled" if actuation else "unsent", grant.grant_id))
