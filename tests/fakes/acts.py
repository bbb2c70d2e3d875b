"""The record of operators' actions, in memory; it can be made to fail."""

from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import JournalUnavailable

HR = Actor(id="account:hr", roles=frozenset({Role.HR}), address="192.0.2.7")


class FakeActs:
    def __init__(self) -> None:
        self.told: list[dict] = []
        self.away = False

    async def acted(self, actor, action, *, person_id=None, target="", before=None, after=None) -> None:
        if self.away:
            raise JournalUnavailable("the journal cannot be written")
        self.told.append(
            {
                "actor": actor.id,
                "action": action,
                "person": person_id,
                "target": target,
                "before": dict(before or {}),
                "after": dict(after or {}),
            }
        )

    @property
    def actions(self) -> list[str]:
        return [t["action"] for t in self.told]
