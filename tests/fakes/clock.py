"""A clock that stands still until told otherwise; the two times move apart on request."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    def __init__(self) -> None:
        self.utc = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
        self.mono_ns = 1_000_000_000_000

    def now(self) -> datetime:
        return self.utc

    def monotonic_ns(self) -> int:
        return self.mono_ns

    def advance(self, seconds: float) -> None:
        self.utc += timedelta(seconds=seconds)
        self.mono_ns += int(seconds * 1e9)

    def move_wall(self, seconds: float) -> None:
        """What an NTP step or an administrator does."""
        self.utc += timedelta(seconds=seconds)
