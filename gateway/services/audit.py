"""Verifies the chain of a gateway's journal, of the shared ledger, and that the two agree."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.domain.events import GENESIS, ChainFault, Row, check_link

Reader = Callable[[int, int], Awaitable[Sequence[Row]]]
"""The next rows after a sequence number, at most so many."""

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of one chain found."""

    events: int
    head: bytes
    fault: ChainFault | None

    @property
    def whole(self) -> bool:
        """Nothing is wrong."""
        return self.fault is None


async def verify(read: Reader, progress: Callable[[int], None] = lambda _count: None) -> Verdict:
    """Walk a chain from its first event, in batches; memory stays flat."""
    seq, head = 0, GENESIS
    while rows := await read(seq, _BATCH):
        for row in rows:
            fault = check_link(seq, head, row)
            if fault is not None:
                return Verdict(seq, head, fault)
            seq, head = row[0], row[3]
        progress(seq)
    return Verdict(seq, head, None)


async def compare(journal: Reader, ledger: Reader) -> ChainFault | None:
    """The shared ledger must be the beginning of the journal, event by event."""
    seq = 0
    while theirs := await ledger(seq, _BATCH):
        ours = await journal(seq, len(theirs))
        for mine, other in zip(ours, theirs, strict=False):
            if mine != other:
                return ChainFault(mine[0], "journal and ledger hold different events under this number")
        if len(ours) < len(theirs):
            return ChainFault(theirs[len(ours)][0], "the ledger has an event that the journal does not")
        seq = theirs[-1][0]
    return None
