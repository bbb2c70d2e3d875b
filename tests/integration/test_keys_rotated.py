"""Keys change on real Postgres and a real file: stopped at every step, and killed while others work."""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from gateway import key_desk, settings
from gateway.domain.enrolment import Purpose
from gateway.domain.errors import DatabaseUnavailable
from gateway.domain.ids import GatewayId, ModelId, PersonId
from gateway.domain.keys import KeyState
from gateway.domain.staff import NewPerson
from gateway.rehearsal.ledger import check
from gateway.security.keyring import KeyPlace, KeyRing
from gateway.security.sealing import AesGcmSealer
from gateway.security.site_keys import WrappedSiteKeys
from gateway.security.spool import SealedFolder
from gateway.security.wrapping import KeyWrapping, master_of
from gateway.services import keys as watching
from gateway.services.key_rotation import Rotated, Rotation, closed
from gateway.services.keys import KeyWatch, admit
from gateway.services.witness import Record
from gateway.storage.journal import SqliteJournal
from gateway.storage.master_keys import PostgresMasterKeys
from gateway.storage.pool import Database
from gateway.storage.site_keys import PostgresSiteKeys
from gateway.storage.staff import PostgresStaff
from gateway.telemetry.clock import SystemClock
from tests.fakes.acts import HR
from tests.fakes.power_cuts import Breaking, Cuts, PowerCutError

MANY = 1200
KILLS_S = 12.0


async def fill(database: Database, ring: KeyRing, count: int) -> None:
    people = []
    for _ in range(count):
        who = str(uuid4())
        people.append((who, KeyWrapping(ring).new("person", who)))
    async with database.transaction() as db:
        await db.executemany(
            "INSERT INTO people (person_id, number, name, wrapped_key) VALUES ($1::text::uuid, $1, 'x', $2)",
            people,
        )
    for name in ("cards", "imports"):
        await WrappedSiteKeys(PostgresSiteKeys(database), ring).key(name)


async def first_ring(database: Database, path: Path, count: int) -> KeyRing:
    ring = KeyRing.read_or_make(KeyPlace(path=path), in_use=False)
    await admit(PostgresMasterKeys(database), ring, KeyWrapping(ring))
    await fill(database, ring, count)
    return ring


async def all_opens(database: Database, path: Path) -> int:
    """As a gateway that starts now finds it."""
    ring, store = KeyRing.read(KeyPlace(path=path)), PostgresMasterKeys(database)
    await admit(store, ring, KeyWrapping(ring))
    count, broken = await closed(store, KeyWrapping(ring))
    assert broken == []
    return count


async def all_under(database: Database, path: Path, found: Rotated) -> None:
    ring, store = KeyRing.read(KeyPlace(path=path)), PostgresMasterKeys(database)
    assert ring.held() == {found.key_id}
    assert set(await store.usage()) == {found.key_id}
    states = dict(await store.states())
    assert states.pop(found.key_id) is KeyState.CURRENT
    assert set(states.values()) <= {KeyState.RETIRED}
    a_lone_key(path)


def a_lone_key(path: Path) -> None:
    assert len(path.read_bytes().split()) == 1
    assert [p.name for p in path.parent.glob(".master.key.*")] == []


def rotation(database: Database, path: Path, cuts: Cuts | None = None) -> Rotation:
    ring = KeyRing.read(KeyPlace(path=path))
    store = PostgresMasterKeys(database)

    async def told() -> None:
        if cuts is not None:  # the power can go within a step, too
            cuts.before()

    return Rotation(
        store=Breaking(store, cuts) if cuts else store,  # type: ignore[arg-type]
        file=Breaking(ring, cuts) if cuts else ring,  # type: ignore[arg-type]
        wrapping=Breaking(KeyWrapping(ring), cuts) if cuts else KeyWrapping(ring),  # type: ignore[arg-type]
        clock=SystemClock(),
        witness=lambda _step, _key_id: told,
        settle_s=0.0,
    )


@pytest.mark.parametrize("late", [False, True])
async def test_stopped_at_every_step_everything_opens_and_it_goes_on(
    database: Database, tmp_path: Path, *, late: bool
):
    path = tmp_path / "master.key"
    await first_ring(database, path, 12)
    at, stopped = 0, 0
    while True:
        at += 1
        cuts = Cuts(at, late)
        try:
            found = await rotation(database, path, cuts).run()
        except PowerCutError:
            stopped += 1
            assert await all_opens(database, path) == 14
            found = await rotation(database, path).run()
        assert await all_opens(database, path) == 14
        await all_under(database, path, found)
        if cuts.count < at:
            break  # it came to its end before the cut
    assert stopped == at - 1
    assert stopped >= 12 + 2 + 15


async def test_what_was_sealed_before_opens_after(database: Database, tmp_path: Path):
    """Under a person's key: templates, photographs, the record. Under the site's: uploads."""
    path = tmp_path / "master.key"
    ring = await first_ring(database, path, 3)
    sealer, who = AesGcmSealer(ring), PersonId(str(uuid4()))
    model = ModelId("m:1")
    wrapped = sealer.new_key(who)
    staff = PostgresStaff(database)

    async def witness(_before: object, _after: object) -> None:
        return

    await staff.create(who, NewPerson(number="E1", name="Ada"), wrapped, witness)
    template = sealer.seal(wrapped, who, model, b"template")
    photograph = sealer.seal_as(wrapped, who, Purpose.PHOTOGRAPH, "jpeg", b"photograph")
    journal = await SqliteJournal.open(tmp_path / "journal.db", GatewayId("g"))
    record = Record(journal, SystemClock(), sealer)
    event = await record.noted(
        HR, "person.change", person_id=who, personal={"name": ["A", "B"]}, wrapped_key=wrapped
    )
    await journal.close()
    folder = SealedFolder(tmp_path / "spool", WrappedSiteKeys(PostgresSiteKeys(database), ring), 0)
    writer = await folder.begin("a.zip")
    await writer.write(b"upload")
    upload = await writer.finish()

    await rotation(database, path).run()

    later = KeyRing.read(KeyPlace(path=path))
    opener, now = AesGcmSealer(later), await staff.wrapped_key(who)
    assert now != wrapped
    assert opener.open(now, who, model, template) == b"template"
    assert opener.open_as(now, who, Purpose.PHOTOGRAPH, "jpeg", photograph) == b"photograph"
    sealed = event.draft.data["sealed"]
    assert isinstance(sealed, str)
    assert Record(journal, SystemClock(), opener).open(now, who, sealed) == {"name": ["A", "B"]}
    anew = SealedFolder(tmp_path / "spool", WrappedSiteKeys(PostgresSiteKeys(database), later), 0)
    with await anew.open("a.zip", upload) as file:
        assert file.read() == b"upload"


async def test_a_gateway_with_a_key_not_in_use_is_told_so(database: Database, tmp_path: Path):
    path = tmp_path / "master.key"
    behind = await first_ring(database, path, 1)
    await rotation(database, path).run()
    who = PersonId(str(uuid4()))

    async def witness(_before: object, _after: object) -> None:
        pytest.fail("nobody is made")

    with pytest.raises(DatabaseUnavailable, match="not in use any more") as told:
        await PostgresStaff(database).create(
            who, NewPerson(number="E1", name="Ada"), AesGcmSealer(behind).new_key(who), witness
        )
    assert told.value.code == "master_key_not_in_use"


# Killed.


def site_of(state: Path, url: str) -> Path:
    (state / "url").write_text(url)
    path = state / "site.toml"
    path.write_text(
        f'name = "t"\nstate_folder = "{state}/state"\n'
        f'[database]\nmode = "server"\nurl_file = "{state}/url"\n'
        '[[cameras]]\nid = "c"\nurl = "rtsp://127.0.0.1:1/none"\n'
        '[[devices]]\nid = "d"\nprofile = "waveshare-relay"\nhost = "127.0.0.1"\nport = 1\n'
        '[[doors]]\nid = "m"\nname = "M"\ndevice = "d"\nchannel = 1\n'
        '[[access_points]]\nid = "p"\nname = "P"\ncamera = "c"\ndoor = "m"\nliveness = "off"\n'
    )
    return path


def start(site: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.key_child", str(site)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def play(child: subprocess.Popen[str], after_s: float | None) -> list[str]:
    """Kill it so long after it began; None: let it come to its end. What it said."""
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    if after_s is not None:
        time.sleep(after_s)
        child.kill()
    said = child.stdout.read().splitlines()
    child.wait(60)
    child.stdout.close()
    return said


class OtherGateway:
    """A ring of its own that follows, enrols people and opens everybody's keys meanwhile."""

    def __init__(self, database: Database, path: Path) -> None:
        self.database, self.ring = database, KeyRing.read(KeyPlace(path=path))
        self.store = PostgresMasterKeys(database)
        self.watch = KeyWatch(
            store=self.store,
            keys=self.ring,
            wrapping=KeyWrapping(self.ring),
            gateway_id="other",
            clock=SystemClock(),
        )
        self.enrolled: list[str] = []
        self.under: set[str] = set()
        self.refused = 0
        self.opened = 0
        self.over = False

    async def enrols(self) -> None:
        while not self.over:
            name = str(uuid4())
            wrapped = KeyWrapping(self.ring).new("person", name)
            try:
                async with self.database.transaction() as db:
                    await db.execute(
                        "INSERT INTO people (person_id, number, name, wrapped_key) "
                        "VALUES ($1::text::uuid, $1, 'x', $2)",
                        name,
                        wrapped,
                    )
                self.enrolled.append(name)
                self.under.add(master_of(wrapped))
            except DatabaseUnavailable as error:
                if error.code != "master_key_not_in_use":
                    raise
                self.refused += 1
            await asyncio.sleep(0.01)

    async def reads(self) -> None:
        """Whatever the database hands out opens with what is here at that moment."""
        while not self.over:
            count, broken = await closed(self.store, KeyWrapping(self.ring))
            assert broken == []
            self.opened += count
            await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def works(self):
        watch = asyncio.create_task(self.watch.run())
        work = [asyncio.create_task(part()) for part in (self.enrols, self.reads)]
        try:
            yield
        finally:
            self.over = True  # they end in order: who is enrolled is counted
            ended = await asyncio.gather(*work, return_exceptions=True)
            watch.cancel()
            await asyncio.wait([watch])
        assert ended == [None, None]


async def test_killed_at_any_moment_while_others_enrol_and_read(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watching, "LOOK_S", 0.1)
    site = site_of(tmp_path, await database.url())
    path = tmp_path / "state" / "master.key"
    path.parent.mkdir(mode=0o700)
    await first_ring(database, path, MANY)
    chance, other, kills, ends = random.Random(9), OtherGateway(database, path), 0, 0
    until, at_last = time.monotonic() + KILLS_S, time.monotonic() + 8 * KILLS_S
    async with other.works():
        while (now := time.monotonic()) < until or (kills < 4 and now < at_last):
            said = await asyncio.to_thread(play, start(site), chance.uniform(0.0, 2.5))
            ended = bool(said) and said[-1].startswith("end")
            kills, ends = kills + (not ended), ends + ended
            await all_opens(database, path)
        said = await asyncio.to_thread(play, start(site), None)
        await all_opens(database, path)
    assert kills >= 4, (kills, ends)
    assert other.watch.health() == "right"
    assert other.opened > MANY
    assert len(other.enrolled) > 50
    assert said[-1].startswith("end")
    new = said[-1].split()[1]
    assert set(await PostgresMasterKeys(database).usage()) == {new}
    a_lone_key(path)
    assert await all_opens(database, path) == MANY + 2 + len(other.enrolled)
    assert len(other.under) > 1, "people were enrolled under one key and the next"


async def test_every_step_is_in_the_ledger_of_commands(database: Database, tmp_path: Path):
    site = settings.load(site_of(tmp_path, await database.url()))
    found = await key_desk.rotate(
        site, wait_s=0.0, skip=frozenset(), give_up=False, say=lambda _progress: None
    )
    async with database.connection() as db:
        rows = await db.fetch("SELECT * FROM events ORDER BY seq")
    text = " ".join(str(dict(row)) for row in rows)
    steps = [text.index(f"keys.{step}") for step in ("begun", "current", "finished", "destroyed")]
    assert steps == sorted(steps)
    assert text.count(found.key_id) == 4
    own = await SqliteJournal.open(Path(site.state_folder) / "journal.db", GatewayId(site.gateway_id))
    await own.close()
    assert (await check(site)).whole
    count, broken = await key_desk.check(site)
    assert (count, broken) == (0, [])
