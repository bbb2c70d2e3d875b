"""An import in a process of its own, to be killed: URL, staff file, photographs."""

import asyncio
import sys
from pathlib import Path

from gateway.domain.imports import ImportRecord, LineResult
from gateway.services.enrolment import Look, Photo
from gateway.services.imports.command import CommandImport
from gateway.storage.pool import Database
from tests.fakes.importing import HR, MadeUpCheck, importing


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Slow(MadeUpCheck):
    async def check(self, photo: Photo) -> Look:
        await asyncio.sleep(0.01)
        return await super().check(photo)


async def main(url: str, staff: Path, photos: Path) -> None:
    async def address() -> str:
        return url

    database = Database(address, size=4)
    made = importing(database, check=Slow())

    def begun(record: ImportRecord):
        say("begun", record.done)

        def told(result: LineResult) -> None:
            say("line", result.line, result.state.value)

        return told

    record = await CommandImport(made.store, made, made.acted).run(
        HR, staff, photos, dry_run=False, begun=begun
    )
    say("end", record.state.value)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
