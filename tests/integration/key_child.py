"""A change of keys in a process of its own, to be killed: the site file."""

import asyncio
import sys
from pathlib import Path

from gateway import key_desk, settings


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(path: Path) -> None:
    site = settings.load(path)
    say("go")
    found = await key_desk.rotate(
        site,
        wait_s=20.0,
        skip=frozenset(),
        give_up=False,
        settle_s=0.4,
        say=lambda progress: say(progress.step),
    )
    say("end", found.key_id, found.done)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
