"""The digital inputs of a simulated device: levels, counters and latches."""


class DigitalInputs:
    """``index`` counts from 0; ``number``, as printed, from 1. All are low at power on."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._levels = [False] * count
        self._counts = [0] * count
        self._high = [False] * count
        self._low = [False] * count

    def put(self, number: int, *, high: bool) -> None:
        """The wire at the input printed as ``number`` has this level."""
        index = number - 1
        if self._levels[index] == high:
            return
        self._levels[index] = high
        if high:
            self._counts[index] = self._counts[index] + 1 & 0xFFFF_FFFF
            self._high[index] = True
        else:
            self._low[index] = True

    def state(self, index: int) -> bool:
        """The level."""
        return self._levels[index]

    def counted(self, index: int) -> int:
        """Rising edges, 32 bits."""
        return self._counts[index]

    def went_high(self, index: int) -> bool:
        """Latched since it was cleared."""
        return self._high[index]

    def went_low(self, index: int) -> bool:
        """Latched since it was cleared."""
        return self._low[index]

    def clear_high(self) -> None:
        """Forget rising edges; a level that is high now counts again when it rises again."""
        self._high = [False] * self.count

    def clear_low(self) -> None:
        """Forget falling edges."""
        self._low = [False] * self.count

    def reset_counters(self) -> None:
        """As after a power cycle."""
        self._counts = [0] * self.count
