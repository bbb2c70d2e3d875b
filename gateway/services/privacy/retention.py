"""What has been kept long enough goes by itself, each time on record."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from gateway.domain.accounts import Actor
from gateway.domain.consent import Ended
from gateway.domain.errors import GatewayError, InvalidInput
from gateway.domain.events import Json
from gateway.ports import Clock
from gateway.ports.privacy import EndedTold, RetentionStore
from gateway.services.privacy.erasure import Erasure
from gateway.services.witness import Acted
from gateway.settings import Privacy

_log = structlog.get_logger(__name__)

RETENTION = Actor(id="retention", roles=frozenset())
"""Nobody: the site's own rules."""
TIDY_S = 3600.0
RETRY_S = 60.0
LOOK_S = 1.0
"""How soon an expired consent is noticed: the end of a consent is not put off to the next hour."""


@dataclass(slots=True, kw_only=True)
class Retention:
    """Carries out the site's rules. ``run`` is owned by the application's task group."""

    store: RetentionStore
    erasure: Erasure
    acted: Acted
    clock: Clock
    policy: Privacy
    look_s: float = LOOK_S
    _tidy_ns: int | None = field(default=None)
    """When the next whole round is due; None: now."""
    _well: bool = field(default=True)

    async def run(self) -> None:
        """A whole round at start and every hour; expired consents at once. Trouble is outlived."""
        while True:
            try:
                await self.look()
                if not self._well:
                    _log.info("retention_goes_on")
                self._well = True
            except GatewayError as error:
                if self._well:
                    _log.warning("retention_waits", why=str(error), code=error.code)
                self._well = False
            await asyncio.sleep(self.look_s)

    async def look(self) -> None:
        """What is due now. Raises GatewayError; a round that failed is tried again within a minute."""
        now = self.clock.monotonic_ns()
        if self._tidy_ns is None or now >= self._tidy_ns:
            self._tidy_ns = now + int(RETRY_S * 1e9)
            await self.tidy()
            self._tidy_ns = now + int(TIDY_S * 1e9)
        elif await self.store.due(self.policy.consent_valid_days):
            await self._end_expired()

    async def tidy(self) -> None:
        """Every rule once, until nothing is left to do. Raises GatewayError."""
        rules = self.policy
        await self.store.forget_answers()
        await self._end_expired()
        if rules.consent_valid_days is not None:
            days = rules.consent_valid_days
            await self.store.limit_consents(days, self._counted("consent.limit", "consents", days))
        if rules.unused_template_days is not None:
            await self._aged(self.store.drop_unused, "templates.unused", rules.unused_template_days)
        if rules.photographs_days is not None:
            await self._aged(self.store.drop_photographs, "photographs.expire", rules.photographs_days)
        if rules.erase_left_after_days is not None:
            await self._erase_left(rules.erase_left_after_days)
        if rules.receipts_days is not None:
            days = rules.receipts_days
            await self.store.drop_receipts(days, self._counted("receipts.expire", "receipts", days))

    async def _end_expired(self) -> None:
        async def once(told: EndedTold) -> Sequence[Ended]:
            return await self.store.end_expired(self.policy.consent_valid_days, told)

        await self._all(once, self._told("consent.expire"))

    async def _erase_left(self, days: int) -> None:
        while gone := await self.store.gone(days):
            for person_id in gone:
                try:
                    await self.erasure.erase(RETENTION, person_id, left_days=days)
                except InvalidInput as error:  # another gateway was quicker, or they came back just now
                    if error.code != "no_such_person":
                        raise
                else:
                    _log.info("person_erased", person=person_id, days=days)

    async def _aged(
        self, part: Callable[[int, EndedTold], Awaitable[Sequence[Ended]]], action: str, days: int
    ) -> None:
        async def once(told: EndedTold) -> Sequence[Ended]:
            return await part(days, told)

        await self._all(once, self._told(action, days))

    async def _all(self, part: Callable[[EndedTold], Awaitable[Sequence[Ended]]], told: EndedTold) -> None:
        while done := await part(told):
            _log.info("retention", people=len(done), destroyed=sum(e.destroyed.templates for e in done))

    def _told(self, action: str, days: int | None = None) -> EndedTold:
        async def told(ended: Ended) -> None:
            gone = ended.destroyed
            after: dict[str, Json] = {} if days is None else {"days": days}
            if ended.in_force:
                after["in_force"] = True
            await self.acted(
                RETENTION,
                action,
                person_id=ended.person_id,
                before={"templates": gone.templates, "photographs": gone.photographs},
                after=after,
            )

        return told

    def _counted(self, action: str, what: str, days: int) -> Callable[[int], Awaitable[None]]:
        async def told(count: int) -> None:
            await self.acted(RETENTION, action, after={what: count, "days": days})

        return told
