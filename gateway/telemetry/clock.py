"""The machine's clocks."""

import time
from datetime import UTC, datetime


class SystemClock:
    """``ports.Clock`` on the operating system."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC, the same in every process of the machine."""
        return time.monotonic_ns()
