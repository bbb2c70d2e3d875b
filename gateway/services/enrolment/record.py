"""Where no journal is open, the log says what was done."""

from collections.abc import Mapping

import structlog

from gateway.domain.accounts import Actor
from gateway.domain.events import Json
from gateway.domain.ids import PersonId

_log = structlog.get_logger(__name__)


class LoggedActs:
    """``ports.Acts`` for a single command beside a running gateway, whose journal belongs to that gateway."""

    async def acted(
        self,
        actor: Actor,
        action: str,
        *,
        person_id: PersonId | None = None,
        target: str = "",
        before: Mapping[str, Json] | None = None,
        after: Mapping[str, Json] | None = None,
    ) -> None:
        """Say it."""
        _log.info(
            "operator_action",
            actor=actor.id,
            action=action,
            person=person_id,
            target=target,
            before=dict(before or {}),
            after=dict(after or {}),
        )
