"""A process that writes the sealed roster over and over, until it is killed.

Arguments: folder, how many people. Each line on standard output is the version of a writing that returned.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

from gateway.security.master_key import MasterKey
from gateway.security.roster_file import SealedRosterFile
from tests.contract.test_roster_copy_contract import MORNING, kept

KEY = MasterKey(bytes(range(32)))


def main(folder: Path, people: int) -> None:
    """Write for ever: a version, then its confirmation a second later."""
    file = SealedRosterFile(folder, "gateway-1", KEY)
    found = file.read()
    version = found.version if found else 0
    while True:
        version += 1
        at = MORNING + timedelta(minutes=version)
        file.write(kept(version=version, people=people, confirmed_at=at))
        os.write(1, f"{version}\n".encode())
        file.confirm(at + timedelta(seconds=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
