"""The scan for what must not lie around finds it when it does."""

import base64
import io
import json

import cv2
import numpy as np
import pytest

from tests.fakes import dump


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=128).astype(np.float32)
    return vector / np.linalg.norm(vector)


FACE = unit(1)
NOISE = np.random.default_rng(7).bytes(5000)
ANY = [dump.template("template", FACE)]


def kinds(content: bytes, secrets=()) -> set[str]:
    return {one.what for one in dump.found(content, "somewhere", secrets)}


@pytest.mark.parametrize(
    "spelt",
    [
        FACE.tobytes(),
        FACE.astype("<f8").tobytes(),
        FACE.astype(">f4").tobytes(),
        FACE.tobytes()[64:256],
        FACE.tobytes().hex().encode(),
        FACE.astype("<f8").tobytes().hex().upper().encode(),
        *(base64.b64encode(b"abc"[:n] + FACE.tobytes()) for n in range(3)),
        base64.urlsafe_b64encode(FACE.tobytes()),
        str([float(x) for x in FACE]).encode(),
        json.dumps([round(float(x), 5) for x in FACE]).encode(),
        repr(FACE).encode(),
    ],
)
def test_a_template_is_found_however_it_is_written(spelt: bytes):
    assert kinds(NOISE[:1001] + spelt + NOISE, ANY)


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
@pytest.mark.parametrize("lead", range(9))
def test_an_unknown_persons_template_is_found_by_its_length_alone(kind: str, lead: int):
    assert kinds(NOISE[:lead] + unit(3).astype(kind).tobytes() + NOISE) == {"a vector of unit length"}


def test_an_unknown_template_in_words_is_found():
    words = json.dumps({"v": [float(x) for x in unit(4)]}).encode()
    assert "a row of numbers" in kinds(words)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
def test_a_picture_is_found(ending: str):
    pixels = np.random.default_rng(2).integers(0, 255, (64, 64, 3), np.uint8)
    data = cv2.imencode(ending, pixels)[1].tobytes()
    for spelt in (data, base64.b64encode(data)):
        assert kinds(NOISE + spelt), ending
    headless = NOISE + data[100:]
    assert kinds(headless, [dump.picture("picture", data)]) == {"picture"}


@pytest.mark.parametrize("encode", [bytes, bytes.hex, base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_is_found_in_any_encoding(encode):
    key = NOISE[100:132]
    spelt = encode(key)
    spelt = spelt.encode() if isinstance(spelt, str) else spelt
    assert kinds(b"key=" + spelt + b";", [dump.secret("key", key)]) == {"key"}


def test_noise_text_and_empty_pages_are_nothing():
    statistics = np.zeros(4000, "<f4")
    statistics[::500] = 1.0
    for content in (NOISE, bytes(9000), statistics.tobytes(), b'{"ms": 0.51, "score": 0.8123}\n' * 90, b""):
        assert kinds(content, [*ANY, dump.word("name", "Ada Lovelace")]) == set()
    out = io.BytesIO()
    np.save(out, np.arange(1000, dtype=np.int32))
    assert kinds(out.getvalue()) == set()
