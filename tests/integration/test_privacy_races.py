"""Whatever an enrolment and a withdrawal, an expiry or an erasure do at the same time: no template is left.

Two or three connections take their steps in an order that hypothesis chooses. A step that waits for another
connection's lock is left waiting, and the others go on: so every interleaving that Postgres allows is met.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.consent import Erased
from gateway.domain.enrolment import Mode
from gateway.domain.errors import GatewayError, InvalidInput, Rejected
from gateway.domain.ids import PersonId
from gateway.storage.consents import PostgresConsents
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.erasure import PostgresErasure
from gateway.storage.pool import Database
from gateway.storage.retention import PostgresRetention
from gateway.storage.templates import PostgresTemplates
from tests.contract.test_consent_store_contract import consent, quietly
from tests.contract.test_people_store_contract import MODEL, template
from tests.integration.test_storage_privacy import PostgresRig

_BLOCKED_S = 0.03

LOCK = "SELECT version FROM roster_version FOR UPDATE"
TEMPLATE = "INSERT INTO templates (person_id, model_id, sealed, quality) VALUES ($1, 'm', 'sealed', 0.5)"
PHOTOGRAPH = (
    "INSERT INTO photographs (photograph_id, person_id, sealed, media_type, quality) "
    "VALUES (gen_random_uuid(), $1, 'sealed', 'image/png', 0.5)"
)
ENROLMENTS: dict[str, Sequence[str]] = {
    "in order": (LOCK, PHOTOGRAPH, TEMPLATE),
    "rude": (TEMPLATE, PHOTOGRAPH),  # without the roster's lock: the triggers alone must hold
    "moved": (TEMPLATE, "UPDATE templates SET sealed = 'other' WHERE person_id = $1"),
}
ENDINGS: dict[str, Sequence[str]] = {
    "withdrawal": (LOCK, "UPDATE consents SET withdrawn_at = now() WHERE person_id = $1"),
    "rude withdrawal": ("UPDATE consents SET withdrawn_at = now() WHERE person_id = $1",),
    "consent deleted": ("DELETE FROM consents WHERE person_id = $1",),
    "expiry": (
        LOCK,
        "UPDATE consents SET expires_at = now(), ended_at = now() WHERE person_id = $1",
    ),
    "erasure": (LOCK, "DELETE FROM people WHERE person_id = $1"),
    "rude erasure": ("DELETE FROM people WHERE person_id = $1",),
}


@dataclass
class Script:
    """A transaction, one step at a time."""

    db: asyncpg.Connection
    who: UUID
    steps: Sequence[str]
    at: int = 0
    waiting: asyncio.Task | None = None
    refused: bool = False
    said: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.waiting is None and self.at > len(self.steps) + 1

    async def step(self) -> None:
        """The next step, unless the last one still waits for a lock."""
        if self.waiting is None and not self.over:
            self.waiting = asyncio.create_task(self._do(self.at))
            self.at += 1
        if self.waiting is not None:
            done, _ = await asyncio.wait({self.waiting}, timeout=_BLOCKED_S)
            if done:
                self.waiting.result()
                self.waiting = None

    async def _do(self, at: int) -> None:
        if self.refused:
            return
        try:
            if at == 0:
                await self.db.execute("BEGIN")
            elif at <= len(self.steps):
                command = self.steps[at - 1]
                await self.db.execute(command, *([self.who] if "$1" in command else []))
            else:
                await self.db.execute("COMMIT")
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DeadlockDetectedError) as error:
            self.refused = True
            self.said.append(type(error).__name__)
            await self.db.execute("ROLLBACK")


@pytest.fixture
async def connections(database: Database, postgres: EmbeddedPostgres) -> AsyncIterator[list]:
    address = await database.url()
    made = [await asyncpg.connect(address) for _ in range(2)]
    for one in made:
        await one.execute("SET deadlock_timeout = '20ms'")
    yield made
    for one in made:
        await one.close()


async def left_over(database: Database) -> list[tuple[int, ...]]:
    """Biometrics of people whose consent is not in force."""
    async with database.connection() as db:
        return [
            tuple(row)
            for row in await db.fetch(
                "SELECT count(*) FROM templates WHERE NOT consent_in_force(person_id) UNION ALL "
                "SELECT count(*) FROM photographs WHERE NOT consent_in_force(person_id)"
            )
        ]


@pytest.mark.parametrize("ending", ENDINGS)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    way=st.sampled_from(sorted(ENROLMENTS)),
    order=st.lists(st.sampled_from([0, 1]), min_size=4, max_size=14),
)
async def test_no_interleaving_leaves_a_template_without_consent(
    database: Database, connections: list, ending: str, way: str, order: list[int]
) -> None:
    rig = PostgresRig(PostgresConsents(database), database)
    if not await rig.store.texts():
        await rig.text()
    who, _ = await rig.consenting()
    scripts = [
        Script(connections[0], UUID(who), ENROLMENTS[way]),
        Script(connections[1], UUID(who), ENDINGS[ending]),
    ]
    async with asyncio.timeout(20):
        for turn in order:
            await scripts[turn].step()
        while not all(script.over for script in scripts):
            for script in scripts:
                await script.step()
    assert scripts[1].said in ([], ["DeadlockDetectedError"])
    if scripts[1].refused:  # a rude one, given up for a deadlock: nothing was promised, and it is tried again
        assert "rude" in ending or "deleted" in ending
        again = Script(connections[1], UUID(who), ENDINGS[ending])
        while not again.over:
            await again.step()
        assert not again.refused
    assert await left_over(database) == [(0,), (0,)]
    held = await rig.held(who)
    assert (held.templates, held.photographs) == (0, 0)


async def no_receipt(_erased: Erased) -> bytes:
    return b"receipt"


@pytest.mark.parametrize("ending", ["withdraw", "expire", "erase"])
@pytest.mark.parametrize("first", ["enrolment", "ending"])
async def test_the_stores_themselves_cross_at_their_commit(
    database: Database, ending: str, first: str
) -> None:
    """One of them stands inside its transaction, its change made, while the other begins."""
    rig = PostgresRig(PostgresConsents(database), database)
    await rig.text()
    who, _ = await rig.consenting()
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def holds(*_: object) -> bytes:
        inside.set()
        await go_on.wait()
        return b"receipt"

    templates = PostgresTemplates(database)
    version = (await templates.standing(who, MODEL)).roster_version
    if ending == "expire":
        await rig.expired(who)
        if first == "enrolment":  # it was in force when the enrolment wrote
            await rig.past(
                "UPDATE consents SET expires_at = now() + interval '1 s' WHERE person_id = $1", who
            )

    async def enrol(witness) -> None:
        await templates.store(
            who,
            mode=Mode.ADD,
            templates=[template()],
            photographs=[],
            expected_version=version,
            witness=witness,
        )

    async def end(witness) -> object:
        if ending == "withdraw":
            return await rig.store.withdraw(who, "a", witness)
        if ending == "erase":
            return await PostgresErasure(database).erase(who, witness)
        retention = PostgresRetention(database)
        while not (done := await retention.end_expired(None, witness)):
            await asyncio.sleep(0.05)
        return done

    one, other = (enrol, end) if first == "enrolment" else (end, enrol)
    async with asyncio.timeout(30):
        leading = asyncio.create_task(one(holds))
        await inside.wait()
        following = asyncio.create_task(other(no_receipt if other is end else quietly))
        await asyncio.sleep(0.1)
        assert not following.done() or ending == "expire", "it waits for the one that came first"
        go_on.set()
        await leading
        try:
            await following
        except (InvalidInput, Rejected) as error:
            assert error.code in {"roster_changed", "no_consent", "no_such_person"}  # noqa: PT017
            assert first == "ending"
    held = await rig.held(who)
    assert (held.templates, held.photographs) == (0, 0)
    assert await left_over(database) == [(0,), (0,)]


async def test_many_enrolments_and_withdrawals_at_once_end_as_the_last_word_says(database: Database) -> None:
    rig = PostgresRig(PostgresConsents(database), database)
    await rig.text()
    people = [(await rig.consenting())[0] for _ in range(4)]
    templates = PostgresTemplates(database)

    async def enrol(who: PersonId) -> None:
        for _ in range(6):
            try:
                now = await templates.standing(who, MODEL)
                await templates.store(
                    who, mode=Mode.REPLACE, templates=[template()], photographs=[],
                    expected_version=now.roster_version, witness=quietly,
                )  # fmt: skip
            except (InvalidInput, Rejected):
                await asyncio.sleep(0)

    async def change(who: PersonId) -> None:
        for _ in range(3):
            await rig.store.withdraw(who, "a", quietly)
            assert (await rig.held(who)).templates == 0 or (await rig.store.of(who))[-1].withdrawn_at is None
            await rig.store.give(who, consent(), quietly)
        await rig.store.withdraw(who, "a", quietly)

    async with asyncio.timeout(60):
        done = await asyncio.gather(
            *(work(who) for who in people for work in (enrol, change)), return_exceptions=True
        )
    assert [d for d in done if isinstance(d, BaseException) and not isinstance(d, GatewayError)] == []
    assert [d for d in done if d is not None] == []
    assert await left_over(database) == [(0,), (0,)]
    for who in people:
        assert (await rig.held(who)).templates == 0
