import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from gateway.domain.errors import InvalidInput
from gateway.vision.fold import fold

RNG = np.random.default_rng(3)


def make(nodes, weights, shape, out):
    """A model of one input x and one output y, with weights listed as inputs as old exporters do."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        + [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in weights.items()
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return model.SerializeToString()


def run(model, x):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def block_quantised():
    weights = {
        "q": RNG.integers(-128, 127, (6, 8)).astype(np.int8),
        "scale": RNG.uniform(0.01, 0.1, (6, 2)).astype(np.float32),
        "zero": RNG.integers(-5, 5, (6, 2)).astype(np.int8),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["w"], axis=1, block_size=4),
        helper.make_node("Gemm", ["x", "w"], ["y"], transB=1),
    ]
    return make(nodes, weights, [1, 8], [1, 6]), weights


def test_block_quantised_weights_become_what_the_standard_says():
    source, w = block_quantised()
    x = RNG.normal(size=(1, 8)).astype(np.float32)
    plain = np.empty((6, 8), np.float32)
    for i in range(6):
        for j in range(8):
            plain[i, j] = (int(w["q"][i, j]) - int(w["zero"][i, j // 4])) * w["scale"][i, j // 4]
    np.testing.assert_allclose(run(fold(source, free_size=False), x), x @ plain.T, rtol=1e-5)


def test_no_quantised_node_unused_weight_or_stale_input_is_left():
    folded = onnx.load_model_from_string(fold(block_quantised()[0], free_size=False))
    assert [n.op_type for n in folded.graph.node] == ["Gemm"]
    assert [i.name for i in folded.graph.input] == ["x"]
    assert [w.name for w in folded.graph.initializer] == ["w"]


@pytest.mark.parametrize(
    ("scale", "zero", "axis"),
    [((), (), 0), ((6,), (6,), 0), ((8,), (8,), 1), ((8,), (8,), -1)],
    ids=["a tensor", "a row", "a column", "a column from the end"],
)
def test_coarser_quantisation_too(scale, zero, axis):
    weights = {
        "q": RNG.integers(0, 255, (6, 8)).astype(np.uint8),
        "s": np.asarray(RNG.uniform(0.01, 0.1, scale), np.float32),
        "z": np.asarray(RNG.integers(0, 9, zero), np.uint8),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=axis),
        helper.make_node("Gemm", ["x", "w"], ["y"], transB=1),
    ]
    source, x = make(nodes, weights, [1, 8], [1, 6]), RNG.normal(size=(1, 8)).astype(np.float32)
    np.testing.assert_allclose(run(fold(source, free_size=False), x), run(source, x), rtol=1e-4, atol=1e-5)


def test_a_split_prelu_is_the_same_function():
    slope = RNG.uniform(-0.5, 1.5, (3, 1, 1)).astype(np.float32)
    shape = [1, 3, 5, 5]
    source = make([helper.make_node("PRelu", ["x", "slope"], ["y"])], {"slope": slope}, shape, shape)
    folded = fold(source, free_size=False)
    x = RNG.normal(0, 10, (1, 3, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(run(folded, x), np.where(x > 0, x, slope * x), rtol=1e-5, atol=1e-5)
    assert "PRelu" not in {n.op_type for n in onnx.load_model_from_string(folded).graph.node}


def test_free_size_takes_other_pictures():
    flatten = helper.make_node("Reshape", ["x", "to"], ["y"])
    source = make([flatten], {"to": np.array([1, -1, 1])}, [1, 3, 4, 4], [1, 48, 1])
    graph = onnx.load_model_from_string(fold(source, free_size=True)).graph
    assert [d.dim_param for d in graph.input[0].type.tensor_type.shape.dim][2:] == ["height", "width"]


def test_folding_is_deterministic():
    source = block_quantised()[0]
    assert fold(source, free_size=False) == fold(source, free_size=False)


@pytest.mark.parametrize("junk", [b"", b"not a model", block_quantised()[0][:40]])
def test_what_is_no_model_is_refused(junk):
    with pytest.raises(InvalidInput, match="not a valid ONNX model"):
        fold(junk, free_size=False)
