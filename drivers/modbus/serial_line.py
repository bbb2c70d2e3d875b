"""What is particular about a serial line: a library of its own, and bytes the kernel still holds."""

import asyncio
import contextlib
import importlib.util
import termios

from drivers.modbus.transport import Serial
from gateway.domain.errors import ConfigError


def check_serial(to: Serial) -> None:
    """Raises ConfigError when the library is missing."""
    if importlib.util.find_spec("serial") is None:
        raise ConfigError(
            f'{to.path}: a serial line needs pyserial, which is not installed: pip install "facegate[serial]"'
        )


def discard(transport: asyncio.BaseTransport, *, unsent: bool) -> None:
    """Forget what was received and not yet read; with ``unsent`` also what has not left yet.

    What an adapter holds back must neither answer the next request nor open a door later. A full output
    buffer would also make pyserial spin.
    """
    line = getattr(transport, "sync_serial", None)
    if line is None:
        return
    with contextlib.suppress(OSError, termios.error):  # an adapter that was pulled has nothing left
        line.reset_input_buffer()
        if unsent:
            line.reset_output_buffer()
