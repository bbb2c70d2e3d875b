"""Keeps one part running without letting its error reach a neighbour."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from gateway.domain.errors import GatewayError

_log = structlog.get_logger(__name__)

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
_CALM_S = 30.0
"""A part that ran for so long starts again at the shortest wait."""


async def keep_running(
    name: str, part: Callable[[], Awaitable[None]], on_failure: Callable[[str, str], None]
) -> None:
    """Run ``part`` until it returns; when it fails, say so and run it again after a growing wait.

    ``on_failure`` gets the part's name and the reason, and must not raise. Cancellation passes through.
    A task group cancels everything when one child raises: that is why nothing but cancellation leaves.
    """
    wait = FIRST_WAIT_S
    while True:
        began = time.monotonic()
        try:
            await part()
        except GatewayError as error:  # said in full by its message
            _log.error("part_failed", part=name, code=error.code, why=str(error))
            on_failure(name, str(error))
        except Exception as error:  # noqa: BLE001  # told below, with its trace; the part starts again
            _log.exception("part_failed", part=name)
            on_failure(name, f"{type(error).__name__}: {error}")
        else:
            return
        wait = FIRST_WAIT_S if time.monotonic() - began > _CALM_S else min(wait * 2, LONGEST_WAIT_S)
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
