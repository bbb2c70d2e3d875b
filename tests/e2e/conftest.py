"""Films, faces and folders for tests that run the whole gateway."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.simulators.film import Shot
from gateway.rehearsal import portraits
from gateway.rehearsal.acts import Act, Mark, shoot
from gateway.rehearsal.portraits import Portrait
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser

SHOT = Shot(size=(480, 640), fps=15, seconds=2.4)
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def analyser() -> PhotoAnalyser:
    folder = models.default_folder()
    if any(state != "ok" for _, _, state in models.states(folder)):
        pytest.skip("the models are not there: run `facegate models pull`")
    return PhotoAnalyser(FaceEngine.load(folder, threads=1))


@pytest.fixture(scope="session")
def collins(analyser: PhotoAnalyser) -> Portrait:
    return portraits.collins(analyser)


@pytest.fixture(scope="session")
def hopper(analyser: PhotoAnalyser) -> Portrait:
    return portraits.hopper(analyser)


@pytest.fixture(scope="session")
def reels() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="facegate-reels-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def walk_up(collins: Portrait, reels: Path) -> tuple[Path, list[Mark]]:
    """Nobody, then the employee, then nobody: real H.264.

    Longer than the 64 pictures a freeze detector remembers: played in a loop, it must not look hung.
    """
    from drivers.simulators import film

    pause = Shot(size=SHOT.size, fps=SHOT.fps, seconds=1.1)
    acts = [
        Act(name="before", pictures=lambda: film.empty(pause)),
        Act(name="employee", pictures=lambda: film.walk_up(collins.picture, collins.face, SHOT)),
        Act(name="after", pictures=lambda: film.empty(pause)),
    ]
    path = reels / "walk-up.mp4"
    return path, shoot(acts, path, SHOT)


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder that an embedded server's own user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="facegate-e2e-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)
