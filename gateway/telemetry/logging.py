"""structlog set-up: JSON lines or plain text on standard error."""

import logging
import sys
from typing import Literal, TextIO

import structlog


def configure(
    *, form: Literal["json", "text"] = "text", level: str = "info", stream: TextIO | None = None
) -> None:
    """Send log lines of this process to ``stream`` (default: standard error)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=(stream or sys.stderr).isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries that speak through the standard library: warnings and worse, same stream.
    logging.basicConfig(level=logging.WARNING, stream=stream or sys.stderr, force=True)
    # It dumps whole frames for each stray reply; the bus says itself what went wrong, once.
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
