"""How long a caller is waited for: who sends a byte a second holds a turn that others wait for."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from gateway.api.problems import Refusal

GRACE_S = 20.0
LEAST_BYTES_PER_S = 50_000
"""400 kbit/s: a photograph over a slow line."""
T = TypeVar("T")


@dataclass(slots=True)
class Pace:
    """Of one request. Counted is only the time in which the gateway waits for the caller."""

    most_s: float = float("inf")
    """However much has come."""
    _waited_s: float = 0.0
    _bytes: int = 0

    async def of(self, coming: Awaitable[T]) -> T:
        """What comes, if it comes in time.

        Raises Refusal (code "too_slow", or "bad_request" for a body that is cut off or is not what its
        headers say).
        """
        allowed = min(self.most_s, GRACE_S + self._bytes / LEAST_BYTES_PER_S)
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, allowed - self._waited_s)):
                came = await coming
        except TimeoutError:
            raise Refusal(
                f"the body came too slowly: {self._bytes} bytes in {allowed:.0f} s; send it again over a "
                "faster line",
                code="too_slow",
            ) from None
        except ConnectionError:
            raise Refusal("the body was cut off") from None
        except (RequestPayloadError, HttpProcessingError):
            raise Refusal("the body is not as long, or not in such chunks, as its headers say") from None
        finally:
            self._waited_s += time.monotonic() - began
        if isinstance(came, bytes | bytearray):
            self._bytes += len(came)
        return came
