"""A change of keys in a process of its own, to be killed: site file, state folder's key in the environment."""

import asyncio
import sys
from pathlib import Path

from gateway import key_desk, settings


async def main(site: Path) -> None:
    found = await key_desk.rotate(
        settings.load(site), wait_s=20.0, skip=frozenset(), give_up=False, say=lambda _progress: None
    )
    sys.stdout.write(f"end {found.key_id} {found.done}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
