"""Cuts the power before or after a chosen call."""

import asyncio
from dataclasses import dataclass
from typing import Any


class PowerCutError(Exception):
    pass


class Breaking:
    """Passes calls on, and cuts the power before or after the ``at``-th of all."""

    def __init__(self, real: object, cuts: "Cuts") -> None:
        self._real, self._cuts = real, cuts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found):
            return found
        if asyncio.iscoroutinefunction(found):

            async def awaited(*args: Any) -> Any:
                self._cuts.before()
                done = await found(*args)
                self._cuts.after()
                return done

            return awaited

        def called(*args: Any) -> Any:
            self._cuts.before()
            done = found(*args)
            self._cuts.after()
            return done

        return called


@dataclass
class Cuts:
    at: int
    late: bool
    count: int = 0

    def before(self) -> None:
        self.count += 1
        if self.count == self.at and not self.late:
            raise PowerCutError

    def after(self) -> None:
        if self.count >= self.at and self.late:
            raise PowerCutError
