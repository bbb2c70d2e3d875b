"""What a simulated Modbus device does wrong, and to which requests."""

from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """Faults of one request. Unless it says otherwise the request is carried out."""

    SILENT = "silent"
    """Neither carried out nor answered: a pulled cable, a half-open connection."""
    LATE_REPLY = "late_reply"
    """Carried out at once, answered ``seconds`` later."""
    SLOW = "slow"
    """Carried out and answered ``seconds`` later, even if the client has gone."""
    DROP_BEFORE = "drop_before"
    """The connection ends before it is carried out."""
    DROP_AFTER = "drop_after"
    """Carried out; the connection ends without a reply."""
    RESET = "reset"
    """Carried out; half a reply, then RST."""
    HALF_FRAME = "half_frame"
    """Carried out; half a reply, and then nothing."""
    DUPLICATE = "duplicate"
    """The reply comes twice."""
    WRONG_TRANSACTION = "wrong_transaction"
    WRONG_PROTOCOL = "wrong_protocol"
    WRONG_UNIT = "wrong_unit"
    WRONG_FUNCTION = "wrong_function"
    """The reply is a well-formed one to another function."""
    WRONG_ADDRESS = "wrong_address"
    """A write's echo names the next address."""
    WRONG_VALUE = "wrong_value"
    """A write's echo names another value."""
    GARBAGE = "garbage"
    """The reply has a function code that does not exist."""
    EXCEPTION = "exception"
    """Not carried out; answered with exception ``code``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, for requests of these functions and addresses (None: all)."""

    kind: FaultKind
    seconds: float = 0.0
    code: int = 4
    functions: frozenset[int] | None = None
    addresses: range | None = None

    def strikes(self, pdu: bytes) -> bool:
        """Whether this request is meant."""
        if self.functions is not None and pdu[0] not in self.functions:
            return False
        return self.addresses is None or int.from_bytes(pdu[1:3], "big") in self.addresses


PULSES = range(0x0200, 0x0220)
"""Addresses of unlock frames, for ``Fault.addresses``."""


@dataclass(slots=True)
class FaultScript:
    """Faults still to come, in order, and one that stays."""

    standing: Fault | None = None
    _next: list[Fault] = field(default_factory=list)

    def once(self, *faults: Fault) -> None:
        """Each strikes the next request that it is meant for, once, in this order."""
        self._next.extend(faults)

    def always(self, fault: Fault) -> None:
        """Strikes every request it is meant for, until ``clear``."""
        self.standing = fault

    def clear(self) -> None:
        """Behave from now on."""
        self.standing = None
        self._next.clear()

    def take(self, pdu: bytes) -> Fault | None:
        """The fault for this request."""
        for i, fault in enumerate(self._next):
            if fault.strikes(pdu):
                return self._next.pop(i)
        return self.standing if self.standing is not None and self.standing.strikes(pdu) else None
