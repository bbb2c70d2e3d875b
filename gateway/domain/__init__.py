"""Pure types and rules: no I/O, no asyncio, no third-party package but numpy."""
