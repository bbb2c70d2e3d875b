"""``facegate bench revoke``: how long a suspended person still passes, at two gateways on one database."""

import asyncio
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from gateway.commands import Commanding, commanding
from gateway.domain.enrolment import SealedTemplate
from gateway.domain.errors import Unavailable
from gateway.domain.faces import freeze
from gateway.domain.ids import AccessPointId, ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.staff import Change
from gateway.rehearsal.figures import spread
from gateway.rehearsal.revoke_gateway import DOOR, MODEL, Orders, serve
from gateway.services.roster_opening import to_bytes
from gateway.services.staff import Staff
from gateway.settings import AccessPoint, Database, Keys, Site

_DIMENSIONS = 128
_LONGEST_S = 30.0
_KINDS = {"listen": True, "poll_only": False}
_EACH = 2

Say = Callable[[str], None]


@dataclass(slots=True)
class _Gateway:
    """One process, and what it measured."""

    kind: str
    pipe: Connection
    process: multiprocessing.process.BaseProcess
    from_call_ms: list[float] = field(default_factory=list)
    from_answer_ms: list[float] = field(default_factory=list)

    async def says(self, grants: bool) -> int:  # noqa: FBT001  # what is waited for
        """When its decision became this, in monotonic nanoseconds. Raises Unavailable."""
        deadline = time.monotonic() + _LONGEST_S
        while time.monotonic() < deadline:
            while self.pipe.poll():
                granted, at_ns = self.pipe.recv()
                if granted is grants:
                    return int(at_ns)
            if not self.process.is_alive():
                break
            await asyncio.sleep(0.002)
        raise Unavailable(f"a gateway did not decide {'yes' if grants else 'no'} in {_LONGEST_S:.0f} s")


async def bench(tries: int, people: int, say: Say) -> dict[str, object]:
    """Figures of one run, with an embedded database and four gateway processes made for it."""
    with tempfile.TemporaryDirectory(prefix="facegate-bench-") as folder:
        state = Path(folder)
        await asyncio.to_thread(state.chmod, 0o711)
        site = Site(
            name="bench",
            state_folder=str(state / "office"),
            cameras=(),
            devices=(),
            doors=(),
            access_points=(AccessPoint(id=DOOR, name="Main", camera="none", door="main"),),
        )
        async with commanding(site) as ground:
            say(f"enrolling {people} people …")
            who = await _enrol(ground, people)
            gateways = await _start(ground, state, who)
            try:
                await asyncio.gather(*(g.says(grants=True) for g in gateways))
                await _measure(ground, gateways, who, tries, say)
            finally:
                await _stop(gateways)
        return _report(gateways, tries, people)


async def _enrol(ground: Commanding, people: int) -> PersonId:
    """Made-up faces; returns who will stand at the door."""
    rng = np.random.default_rng(4)
    store, who = ground.stores.people, PersonId("")
    for i in range(people):
        who = PersonId(f"00000000-0000-4000-8000-{i:012}")
        key = ground.sealer.new_key(who)
        face = rng.normal(size=_DIMENSIONS).astype(np.float32)
        plain = to_bytes(freeze(face / np.linalg.norm(face)))
        sealed = ground.sealer.seal(key, who, MODEL, plain)
        await store.enrol(
            number=f"B{i:05}",
            name=f"Person {i}",
            profile="staff",
            consent="bench",
            person_id=who,
            wrapped_key=key,
            templates=[SealedTemplate(model_id=ModelId(MODEL), sealed=sealed, quality=0.8)],
            expected_version=await store.roster_version(),
        )
    await store.sync_access_points([(AccessPointId(DOOR), "Main")])
    return who


async def _start(ground: Commanding, state: Path, who: PersonId) -> list[_Gateway]:
    url = state / "url"
    key = Path(ground.site.state_folder) / "master.key"
    address = await ground.stores.database.url()
    await asyncio.to_thread(url.write_text, address, "utf-8")
    found = []
    for kind, listens in _KINDS.items():
        for i in range(_EACH):
            site = Site(
                name="bench",
                gateway_id=f"{kind.replace('_', '-')}-{i + 1}",
                state_folder=str(state / f"{kind}-{i}"),
                database=Database(mode="server", url_file=str(url)),
                keys=Keys(file=str(key)),
                cameras=(),
                devices=(),
                access_points=ground.site.access_points,
            )
            found.append(_spawn(kind, Orders(site=site, person_id=who, listens=listens)))
    return found


def _spawn(kind: str, orders: Orders) -> _Gateway:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, orders), name=orders.site.gateway_id, daemon=True)
    process.start()
    theirs.close()
    return _Gateway(kind=kind, pipe=ours, process=process)


async def _measure(
    ground: Commanding, gateways: Sequence[_Gateway], who: PersonId, tries: int, say: Say
) -> None:
    staff = Staff(ground.stores.staff, ground.sealer, ground.record.acted)

    async def become(status: PersonStatus) -> tuple[int, int]:
        asked = time.monotonic_ns()
        await staff.change(ground.actor, who, Change({"status": status}))
        return asked, time.monotonic_ns()

    for i in range(tries):
        await asyncio.sleep(random.uniform(0.1, 0.6))  # noqa: S311  # at any moment of a poll
        asked, answered = await become(PersonStatus.SUSPENDED)
        for gateway, at in zip(
            gateways, await asyncio.gather(*(g.says(grants=False) for g in gateways)), strict=True
        ):
            gateway.from_call_ms.append((at - asked) / 1e6)
            gateway.from_answer_ms.append((at - answered) / 1e6)
        await become(PersonStatus.ACTIVE)
        await asyncio.gather(*(g.says(grants=True) for g in gateways))
        if (i + 1) % 20 == 0:
            say(f"{i + 1} of {tries}")


async def _stop(gateways: Sequence[_Gateway]) -> None:
    for gateway in gateways:
        gateway.pipe.close()  # which is how they know
    for gateway in gateways:
        await asyncio.to_thread(gateway.process.join, 10)
        if gateway.process.is_alive():
            gateway.process.kill()


def _report(gateways: Sequence[_Gateway], tries: int, people: int) -> dict[str, object]:
    found: dict[str, dict[str, object]] = {}
    both: dict[str, dict[str, float]] = {}
    for kind in _KINDS:
        mine = [g for g in gateways if g.kind == kind]
        both[kind] = spread([ms for g in mine for ms in g.from_call_ms])
        found[kind] = {
            "from_call_ms": both[kind],
            "from_answer_ms": spread([ms for g in mine for ms in g.from_answer_ms]),
            "each_from_call_ms": {g.process.name: spread(g.from_call_ms) for g in mine},
        }
    return {
        "what": "from Staff.change(suspended) to the first refusal by decide(), asked every millisecond in "
        "each gateway's process; below zero from the answer: refused before the caller had it",
        "tries": tries,
        "people": people,
        "gateways": dict.fromkeys(_KINDS, _EACH),
        **found,
        "poll_only_over_listen": {
            part: round(both["poll_only"][part] / both["listen"][part], 1) for part in ("p50", "p99", "max")
        },
        "slowest_with_listen_under_a_second": both["listen"]["max"] < 1e3,
    }
