"""Enrolment over HTTP with real faces, a real database and real models; and what nobody should upload."""

import contextlib
import gc
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import cv2
import numpy as np
import psutil
import pytest

from drivers.simulators.film import Shot, walk_up
from gateway import settings
from gateway.domain.accounts import Role
from gateway.domain.enrolment import Purpose
from gateway.domain.errors import ModelMissing, SealBroken
from gateway.foundation import enrolment_engine
from gateway.rehearsal import portraits
from gateway.security.master_key import MasterKey
from gateway.security.sealing import AesGcmSealer
from gateway.settings import Site
from gateway.storage.pool import Database
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser, decode
from tests.fakes import bad_pictures
from tests.fakes.journal import FakeJournal
from tests.fakes.office import OfficeRig, office_rig

pytestmark = pytest.mark.models
TOO_LARGE = {"file_too_large"}


@pytest.fixture(scope="module")
def engine() -> FaceEngine:
    try:
        return enrolment_engine(site(Path("/nowhere"), "none"))
    except ModelMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def collins(engine: FaceEngine) -> portraits.Portrait:
    return portraits.collins(PhotoAnalyser(engine))


@pytest.fixture(scope="module")
def hopper(engine: FaceEngine) -> portraits.Portrait:
    return portraits.hopper(PhotoAnalyser(engine))


def site(state: Path, camera: str) -> Site:
    raw = {
        "name": "t",
        "state_folder": str(state),
        "enrolment": {"keep_photographs": True, "camera_seconds": 2.0},
        "cameras": [{"id": "c", "url": camera, "pace": "every-frame"}],
        "devices": [{"id": "d", "profile": "waveshare-relay", "host": "127.0.0.1", "port": 1}],
        "doors": [{"id": "m", "name": "M", "device": "d", "channel": 1}],
        "access_points": [{"id": "p", "name": "P", "camera": "c", "door": "m"}],
    }
    return settings.parse(raw, source="test", base=state)


@dataclass
class Hr:
    """HR's side of it."""

    office: OfficeRig
    database: Database

    async def person(self, *, consent: bool = True) -> str:
        said = await self.office.client.post("/api/v1/people", json={"number": uuid4().hex, "name": "Ada"})
        who = str((await said.json())["id"])
        if consent:
            async with self.database.connection() as db:
                await db.execute(
                    "INSERT INTO consents (person_id, attestation) VALUES ($1, 'paper')", UUID(who)
                )
        return who

    async def send(self, path: str, *parts: tuple[str, bytes]) -> tuple[int, dict]:
        form = aiohttp.FormData()
        for name, data in parts:
            form.add_field(
                name, io.BytesIO(data), filename="IMG_1.jpg", content_type="application/octet-stream"
            )
        said = await self.office.client.post(path, data=form)
        return said.status, await said.json()

    async def enrol(self, who: str, *pictures: bytes, mode: str = "replace") -> tuple[int, dict]:
        path = f"/api/v1/people/{who}/photographs?mode={mode}"
        return await self.send(path, *[("photograph", p) for p in pictures])

    async def counts(self) -> tuple[int, int]:
        async with self.database.connection() as db:
            return tuple(
                [int(await db.fetchval(f"SELECT count(*) FROM {t}")) for t in ("templates", "photographs")]  # noqa: S608
            )

    def actions(self) -> list[str]:
        return [str(a["action"]) for a in self.office.actions()]


@contextlib.asynccontextmanager
async def opened(database: Database, engine: FaceEngine, whole: Site) -> AsyncIterator[Hr]:
    async with office_rig(database, site=whole) as rig:
        yield Hr(rig, database)


@pytest.fixture
async def desk(database: Database, engine: FaceEngine, tmp_path: Path) -> AsyncIterator[Hr]:
    async with opened(database, engine, site(tmp_path, "/nowhere.mp4")) as one:
        yield one


def dark(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.convertScaleAbs(picture, alpha=0.1))[1].tobytes()


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


async def test_photographs_become_templates_and_are_kept_sealed(desk: Hr, collins: portraits.Portrait):
    who = await desk.person()
    status, said = await desk.enrol(who, collins.png(), jpeg(collins.picture))
    assert status == 201, said
    assert (said["templates"], said["kept"], said["replaced"]) == (2, True, False)
    assert said["agreement"] > 0.9
    assert [p["usable"] for p in said["photographs"]] == [True, True]
    assert {m["component"] for m in said["photographs"][0]["measures"]} >= {"sharpness", "pose_angle_yaw"}
    assert 0 < said["quality"] <= 1
    items = (await (await desk.office.client.get(f"/api/v1/people/{who}/photographs")).json())["items"]
    assert [i["media_type"] for i in items] == ["image/png", "image/jpeg"]
    async with desk.database.connection() as db:
        sealed = await db.fetch("SELECT sealed FROM photographs UNION ALL SELECT sealed FROM templates")
    for row in sealed:
        assert b"PNG" not in row["sealed"][:40]
        assert b"\xff\xd8\xff" not in row["sealed"][:40]
    read = await desk.office.client.get(f"/api/v1/people/{who}/photographs/{items[0]['id']}")
    assert (read.status, read.content_type) == (200, "image/png")
    assert "no-store" in read.headers["Cache-Control"]
    np.testing.assert_array_equal(decode(await read.read()), collins.picture)
    assert desk.actions()[-2:] == ["templates.enrol", "photograph.read"]
    gone = await desk.office.client.delete(f"/api/v1/people/{who}/templates")
    assert gone.status == 204
    assert await desk.counts() == (0, 0)


async def test_a_look_that_cannot_be_recorded_is_not_had(desk: Hr, collins: portraits.Portrait):
    who = await desk.person()
    await desk.enrol(who, collins.png())
    (item,) = (await (await desk.office.client.get(f"/api/v1/people/{who}/photographs")).json())["items"]
    desk.office.journal.full = True
    read = await desk.office.client.get(f"/api/v1/people/{who}/photographs/{item['id']}")
    assert read.status == 503
    assert b"PNG" not in await read.read()
    status, _ = await desk.enrol(who, collins.png())
    assert status == 503
    assert await desk.counts() == (1, 1)


async def test_all_reasons_of_all_photographs_are_answered_at_once(desk: Hr, collins, hopper):
    who = await desk.person()
    small = cv2.resize(collins.picture, (220, 220), interpolation=cv2.INTER_AREA)
    status, said = await desk.enrol(who, collins.png(), dark(small), b"not a picture", hopper.png())
    assert (status, said["code"]) == (422, "too_small")
    by_photograph: dict[str, set[str]] = {}
    for one in said["errors"]:
        by_photograph.setdefault(one["pointer"], set()).add(one["code"])
    assert by_photograph["/1"] >= {"too_small", "too_dark"}
    assert by_photograph["/2"] == {"not_a_picture"}
    assert set(by_photograph) == {"/1", "/2"}
    assert await desk.counts() == (0, 0)


async def test_the_same_face_under_another_person_and_two_faces_under_one(desk: Hr, collins, hopper):
    first, second = await desk.person(), await desk.person()
    assert (await desk.enrol(first, collins.png()))[0] == 201
    mirrored = jpeg(np.ascontiguousarray(collins.picture[:, ::-1]))
    for mode in ("replace", "add"):
        status, said = await desk.enrol(second, mirrored, mode=mode)
        assert (status, said["code"]) == (422, "already_enrolled")
    status, said = await desk.enrol(second, hopper.png(), mirrored)
    assert (status, said["code"]) == (422, "photos_disagree")
    status, said = await desk.enrol(first, hopper.png(), mode="add")
    assert (status, said["code"]) == (422, "photos_disagree")
    assert await desk.counts() == (1, 1)


async def test_without_a_consent_nothing_is_taken(desk: Hr, collins: portraits.Portrait):
    who = await desk.person(consent=False)
    status, said = await desk.enrol(who, collins.png())
    assert (status, said["code"]) == (409, "no_consent")
    look = await desk.office.client.post(f"/api/v1/people/{who}/enrolment", json={"access_point": "p"})
    assert (look.status, (await look.json())["code"]) == (409, "no_consent")
    assert await desk.counts() == (0, 0)


async def test_only_who_may(desk: Hr, collins: portraits.Portrait):
    who = await desk.person()
    await desk.enrol(who, collins.png())
    (item,) = (await (await desk.office.client.get(f"/api/v1/people/{who}/photographs")).json())["items"]
    one = f"/api/v1/people/{who}/photographs/{item['id']}"
    for role in (Role.GUARD, Role.OPERATOR, Role.AUDITOR):
        desk.office.roles = frozenset({role})
        assert (await desk.office.client.get(one)).status == 403
        assert (await desk.enrol(who, collins.png()))[0] == 403
        assert (await desk.office.client.delete(f"/api/v1/people/{who}/templates")).status == 403
        assert (await desk.send("/api/v1/verify", ("document", b""), ("live", b"")))[0] == 403
    desk.office.roles, desk.office.scopes = frozenset({Role.HR}), frozenset({"people:read"})
    assert (await desk.office.client.get(one)).status == 403
    desk.office.scopes = frozenset({"photographs:read"})
    assert (await desk.office.client.get(one)).status == 200


async def test_verify_stores_nothing_and_says_why(desk: Hr, collins, hopper):
    document = jpeg(cv2.resize(collins.picture, (400, 400), interpolation=cv2.INTER_AREA))
    status, said = await desk.send("/api/v1/verify", ("document", document), ("live", collins.png()))
    assert (status, said["verdict"], said["live"]["usable"]) == (200, "match", True)
    assert said["score"] > said["threshold"]
    status, said = await desk.send("/api/v1/verify", ("document", hopper.png()), ("live", collins.png()))
    assert (said["verdict"], said["document"]["reasons"]) == ("no_match", [])
    who = await desk.person()
    await desk.enrol(who, collins.png())
    before = await desk.counts()
    path = f"/api/v1/verify?person_id={who}&false_match_rate=0.0001"
    status, said = await desk.send(path, ("document", document))
    assert (status, said["verdict"], said["live"], said["measured"]) == (200, "match", None, True)
    assert await desk.counts() == before
    assert desk.actions()[-1] == "face.verify"
    told = desk.office.actions()[-1]
    assert "score" not in str(told)
    assert (await desk.send("/api/v1/verify", ("document", document)))[0] == 422
    assert (await desk.send("/api/v1/verify", ("document", b"x"), ("selfie", b"y")))[0] == 400


async def test_somebody_before_a_door_camera(database: Database, engine: FaceEngine, tmp_path: Path, collins):
    film = tmp_path / "walk.avi"
    shot = Shot(size=(480, 640), fps=15, seconds=2.4)
    write(film, list(walk_up(collins.picture, collins.face, shot)))
    async with opened(database, engine, site(tmp_path, str(film))) as desk:
        who = await desk.person()
        path = f"/api/v1/people/{who}/enrolment"
        said = await desk.office.client.post(path, json={"access_point": "p"})
        body = await said.json()
        assert said.status == 201, body
        assert (body["templates"], body["kept"]) == (3, True)
        assert {p["liveness"] for p in body["photographs"]} == {"judged"}
        status, checked = await desk.send(f"/api/v1/verify?person_id={who}", ("document", collins.png()))
        assert (status, checked["verdict"]) == (200, "match")
        (item, *_) = (await (await desk.office.client.get(f"/api/v1/people/{who}/photographs")).json())[
            "items"
        ]
        read = await desk.office.client.get(f"/api/v1/people/{who}/photographs/{item['id']}")
        kept = decode(await read.read())
        assert kept.shape[0] * kept.shape[1] < 480 * 640  # head and shoulders alone
        nowhere = await desk.office.client.post(path, json={"access_point": "q"})
        assert (nowhere.status, (await nowhere.json())["code"]) == (404, "no_such_access_point")


def write(film: Path, pictures: list[np.ndarray]) -> None:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 15, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()


async def test_no_bad_picture_gets_in_and_memory_stays_flat(desk: Hr):
    who = await desk.person()
    process, corpus = psutil.Process(), list(bad_pictures.corpus())
    assert len(corpus) >= 120

    async def all_of_them() -> int:
        for one in corpus:
            status, said = await desk.enrol(who, one.data)
            if one.code in TOO_LARGE:
                assert (status, said["code"]) == (413, "too_large"), one
                continue
            assert (status, said["code"]) == (422, "bad_photo"), (one, said)
            assert [e["code"] for e in said["errors"]] == [one.code], one
        gc.collect()
        return process.memory_info().rss

    first = await all_of_them()
    last = await all_of_them()
    assert last - first < 60_000_000
    assert await desk.counts() == (0, 0)
    assert "templates.enrol" not in desk.actions()


@pytest.mark.parametrize("parts", [[], [("selfie", b"x")], [("photograph", b"x")] * 11])
async def test_other_parts_or_too_many_are_refused(desk: Hr, parts: list[tuple[str, bytes]]):
    who = await desk.person()
    form = aiohttp.MultipartWriter("form-data")
    for name, data in parts:
        form.append(data).set_content_disposition("form-data", name=name)
    said = await desk.office.client.post(f"/api/v1/people/{who}/photographs", data=form)
    assert said.status in {400, 422}
    assert await desk.counts() == (0, 0)


async def test_with_another_master_key_no_photograph_opens(desk: Hr, collins: portraits.Portrait):
    who = await desk.person()
    await desk.enrol(who, collins.png())
    async with desk.database.connection() as db:
        row = await db.fetchrow(
            "SELECT photograph_id, sealed, wrapped_key FROM photographs JOIN people USING (person_id)"
        )
    with pytest.raises(SealBroken):
        AesGcmSealer(MasterKey(b"n" * 32)).open_as(
            row["wrapped_key"], who, Purpose.PHOTOGRAPH, str(row["photograph_id"]), row["sealed"]
        )
    assert isinstance(desk.office.journal, FakeJournal)
