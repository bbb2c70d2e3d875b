"""Calibrates a site's own embedder on pictures of different people."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Embedding
from gateway.rehearsal.evaluate import people, pictures
from gateway.vision import calibration, models
from gateway.vision.calibration import Calibration
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser
from gateway.vision.sessions import Network


def calibrate(folder: Path, name: str, on: Sequence[Path], progress: Callable[[str], None]) -> Calibration:
    """Measure an added embedder's thresholds and store them. Blocking. Raises InvalidInput."""
    known = models.manifest(folder)
    model = next((m for m in known.models if m.name == name and m.role == "embedder"), None)
    if model is None:
        raise InvalidInput(f"{name}: there is no such embedder; see `facegate models list`")
    shipped = FaceEngine.load(folder, threads=2)
    network = Network(model, models.read(folder, model), threads=2)
    analyser = PhotoAnalyser(replace(shipped, embedder=network, model_id=model.model_id))
    found = [_embeddings(person, analyser, progress) for top in on for person in people(top)]
    measured = calibration.measure(
        [rows for rows in found if rows], f"{len(found)} people of {', '.join(map(str, on))}"
    )
    models.calibrate(folder, name, measured)
    return measured


def _embeddings(person: Path, analyser: PhotoAnalyser, progress: Callable[[str], None]) -> list[Embedding]:
    rows = []
    for picture in pictures(person):
        faces = analyser.photograph(picture.read_bytes())
        if faces and faces[0].embedding is not None:
            rows.append(faces[0].embedding)
    progress(f"{person.name}: {len(rows)} pictures")
    return rows
