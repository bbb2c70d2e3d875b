"""The relay's own record held against the ledger: what must be true whatever went wrong."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.simulators.modbus_relays import Edge
from gateway.domain.events import verify_chain


@dataclass(frozen=True, slots=True)
class Kept:
    """One event of a journal."""

    kind: str
    grant: str | None
    mono_ns: int
    data: dict[str, object]
    point: str | None = None


def journal(state: Path) -> list[Kept]:
    """Every event of a stopped gateway's journal; its chain must be whole."""
    with sqlite3.connect(state / "journal.db") as db:
        rows = db.execute("SELECT seq, canonical, prev_hash, hash FROM events ORDER BY seq").fetchall()
    db.close()
    assert verify_chain(rows) is None
    plain = [json.loads(row[1]) for row in rows]
    return [Kept(p["kind"], p["grant"], p["mono_ns"], p["data"], p["access_point"]) for p in plain]


def check(events: Sequence[Kept], edges: Sequence[Edge]) -> None:
    """No pulse without its durable intent, never two for one grant, one outcome for each intent."""
    intents = [e for e in events if e.kind == "access_granted"]
    outcomes = [e for e in events if e.kind == "unlock_outcome"]
    assert sorted(e.grant or "" for e in intents) == sorted(e.grant or "" for e in outcomes)
    assert len({e.grant for e in intents}) == len(intents)
    used: set[str | None] = set()
    for edge in (e for e in edges if e.on):
        before = [i for i in intents if i.mono_ns < edge.mono_ns]
        assert before, "a pulse without an intent before it"
        owner = max(before, key=lambda i: i.mono_ns)
        assert owner.grant not in used, "two pulses for one grant"
        used.add(owner.grant)
    moved = {e.grant for e in outcomes if e.data["outcome"] in {"confirmed", "sent"}}
    assert moved <= used, "an outcome says that the door moved, and it did not"
    still = {e.grant for e in outcomes if e.data["outcome"] in {"not_sent", "refused"}}
    assert not still & used, "an outcome says that the door did not move, and it did"
