"""The trial command on real video and real attacks."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from drivers.simulators.film import Shot, held_up, write_h264
from drivers.simulators.film import walk_up as film_walk_up
from gateway.rehearsal.portraits import Portrait
from tests.e2e.conftest import DATA

FACEGATE = [str(Path(sys.executable).with_name("facegate"))]
CLIP = DATA / "clips" / "two-speakers.mp4"
needs_data = pytest.mark.skipif(
    not CLIP.exists(), reason="the shared test faces are not beside this checkout"
)


def trial(tmp_path: Path, enrol: Path, *clips: Path, expect: int = 0):
    out = tmp_path / "out.jsonl"
    command = [*FACEGATE, "trial", "--enrol", str(enrol), "--json", str(out)]
    for clip in clips:
        command += ["--clip", str(clip)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == expect, done.stderr
    if expect:
        return done.stderr, None
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert kept[:-1] == lines, "standard output carries the lines alone"
    summary = kept[-1]
    assert summary["kind"] == "summary"
    assert summary["pulses_match_grants"]
    assert summary["chain_whole"]
    return lines, summary


def alone(folder: Path, *photos: Path) -> Path:
    folder.mkdir()
    for photo in photos:
        shutil.copy(photo, folder)
    return folder


@pytest.fixture(autouse=True)
def _models(analyser):
    """Skips where the models are absent."""


def test_an_employee_is_let_in_and_a_stranger_is_not(tmp_path: Path, collins: Portrait, hopper: Portrait):
    enrol = tmp_path / "enrol"
    enrol.mkdir()
    (enrol / "eileen.png").write_bytes(collins.png())
    shot = Shot(size=(480, 640), fps=10, seconds=2)
    films = {}
    for name, pictures in {
        "employee": film_walk_up(collins.picture, collins.face, shot),
        "stranger": film_walk_up(hopper.picture, hopper.face, shot),
        "print": held_up(collins.picture, collins.face, shot, medium="print"),
        "screen": held_up(collins.picture, collins.face, shot, medium="screen"),
    }.items():
        films[name] = tmp_path / f"{name}.mp4"
        write_h264(films[name], pictures, shot)
    lines, summary = trial(tmp_path, enrol, *films.values())
    by_clip = {name: [x for x in lines if x["clip"] == path.name] for name, path in films.items()}
    assert [(x["kind"], x["person"]) for x in by_clip["employee"]] == [("granted", "eileen")]
    assert [(x["kind"], x["reason"]) for x in by_clip["stranger"]] == [("denied", "unknown_person")]
    for attack in ("print", "screen"):
        assert all(x["kind"] == "denied" for x in by_clip[attack])
        assert {x["reason"] for x in by_clip[attack]} <= {"liveness_failed", "liveness_unclear"}
        assert by_clip[attack]
    line = by_clip["employee"][0]
    assert {"score", "liveness", "frame_time_s", "latency_ms", "access_point", "reason"} <= set(line)
    assert summary["granted_people"] == ["eileen"]


@needs_data
def test_the_enrolled_speaker_is_let_in_and_no_one_else(tmp_path: Path):
    enrol = alone(tmp_path / "a", DATA / "clips" / "two-speakers-enrol-a.png")
    lines, summary = trial(tmp_path, enrol, CLIP)
    assert summary["granted_people"] == ["two-speakers-enrol-a"]
    assert all(x["person"] in {None, "two-speakers-enrol-a"} for x in lines)


@needs_data
@pytest.mark.parametrize("who", ["b", "portraits"])
def test_with_others_enrolled_nobody_is_let_in(tmp_path: Path, who: str):
    enrol = DATA / "portraits"
    if who == "b":
        enrol = alone(tmp_path / "b", DATA / "clips" / "two-speakers-enrol-b.png")
    lines, summary = trial(tmp_path, enrol, CLIP)
    assert summary["granted"] == 0
    assert all(x["kind"] == "denied" for x in lines)


@needs_data
@pytest.mark.parametrize("attack", ["attack-1.jpg", "attack-2.jpg"])
def test_an_attack_showing_the_employee_is_refused(tmp_path: Path, attack: str):
    photo = DATA / "spoof" / attack
    picture = np.asarray(cv2.imread(str(photo)), np.uint8)
    rng = np.random.default_rng(1)
    frames = []
    for i in range(30):
        moved = cv2.warpAffine(picture, np.array([[1, 0, i % 5], [0, 1, i % 3]], np.float32), (480, 640))
        frames.append(np.clip(moved + rng.normal(0, 2, moved.shape), 0, 255).astype(np.uint8))
    clip = tmp_path / "attack.mp4"
    write_h264(clip, frames, Shot(size=(480, 640), fps=15))
    enrol = alone(tmp_path / "employee", photo)
    lines, summary = trial(tmp_path, enrol, clip)
    assert summary["granted"] == 0
    assert all(x["kind"] == "denied" for x in lines)


def test_what_cannot_be_tried_is_said(tmp_path: Path):
    enrol = tmp_path / "enrol"
    enrol.mkdir()
    said, _ = trial(tmp_path, enrol, tmp_path / "none.mp4", expect=2)
    assert "none.mp4" in said
    clip = tmp_path / "empty.mp4"
    clip.write_bytes(b"no video")
    said, _ = trial(tmp_path, enrol, clip, expect=2)
    assert "photographs" in said
