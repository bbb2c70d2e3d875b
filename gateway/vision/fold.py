"""Turn the packaged ONNX files into ones that onnxruntime runs, and runs fast; once, when they are pulled.

The result depends on the source file alone, so its digest can be in the manifest.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from gateway.domain.errors import InvalidInput


def fold(data: bytes, *, free_size: bool) -> bytes:
    """Serialised model in, serialised model out. Raises InvalidInput when it is no ONNX model.

    ``free_size`` lets the picture's height and width vary, for fully convolutional networks.
    """
    model = parse(data)
    _fold_weights(model.graph)
    _split_prelu(model.graph)
    _drop_unused(model.graph)
    if free_size:
        _free_size(model.graph)
    return bytes(model.SerializeToString(deterministic=True))


def parse(data: bytes) -> onnx.ModelProto:
    """Parse and check a model. Raises InvalidInput."""
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker each raise types of their own
        raise InvalidInput(f"not a valid ONNX model: {error}", code="model_invalid") from error
    return model


def _fold_weights(graph: onnx.GraphProto) -> None:
    """Compute each ``DequantizeLinear`` over initialisers once, here.

    onnxruntime 1.32 refuses those with ``block_size`` over 8-bit initialisers (ONNX operator set 21).
    """
    weights = {w.name: w for w in graph.initializer}
    folded = [n for n in graph.node if n.op_type == "DequantizeLinear" and all(i in weights for i in n.input)]
    for node in folded:
        parts = [numpy_helper.to_array(weights[name]) for name in node.input]
        options = {a.name: a.i for a in node.attribute}
        plain = _dequantise(parts, axis=options.get("axis", 1), block=options.get("block_size", 0))
        graph.initializer.append(numpy_helper.from_array(plain, node.output[0]))
        graph.node.remove(node)


def _split_prelu(graph: onnx.GraphProto) -> None:
    """Write PRelu as ``slope * x + (1 - slope) * relu(x)``, which is the same function.

    onnxruntime has no PRelu in its blocked layout and reorders every tensor before and after one; without
    them the embedder takes half the time (29 ms became 14 on one thread), the results agree to 1e-6.
    """
    weights = {w.name: w for w in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "PRelu" or node.input[1] not in weights:
            nodes.append(node)
            continue
        (x, slope), y = node.input, node.output[0]
        rest = np.float32(1) - numpy_helper.to_array(weights[slope])
        graph.initializer.append(numpy_helper.from_array(rest, f"{y}_rest"))
        nodes += [
            helper.make_node("Relu", [x], [f"{y}_relu"]),
            helper.make_node("Mul", [x, slope], [f"{y}_all"]),
            helper.make_node("Mul", [f"{y}_relu", f"{y}_rest"], [f"{y}_positive"]),
            helper.make_node("Add", [f"{y}_all", f"{y}_positive"], [y]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _dequantise(parts: list[NDArray[np.generic]], *, axis: int, block: int) -> NDArray[np.float32]:
    """One tensor: ``parts`` is values, scale and, where there is one, zero point."""
    values = parts[0].astype(np.float32)
    scale = _spread(parts[1].astype(np.float32), values.shape, axis, block)
    if len(parts) > 2:
        values -= _spread(parts[2].astype(np.float32), values.shape, axis, block)
    return np.ascontiguousarray(values * scale, np.float32)


def _spread(part: NDArray[np.float32], shape: tuple[int, ...], axis: int, block: int) -> NDArray[np.float32]:
    """Bring a scale or zero point to the shape of the values: per block, per channel or per tensor."""
    if block:
        return np.repeat(part, block, axis=axis).take(range(shape[axis]), axis=axis)
    if part.ndim == 1 and part.size > 1:
        return part.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
    return part.reshape(())


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Drop weights nobody reads, and inputs that are weights.

    A weight listed as an input could be replaced at run time, which keeps onnxruntime from fusing it.
    """
    used = {name for node in graph.node for name in node.input}
    made = {name for node in graph.node for name in node.output}
    weights = [w for w in graph.initializer if w.name in used]
    inputs = [i for i in graph.input if i.name in used - made - {w.name for w in weights}]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(weights)
    graph.input.extend(inputs)


def _free_size(graph: onnx.GraphProto) -> None:
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        dims[2].dim_param, dims[3].dim_param = "height", "width"
    for value in graph.output:
        value.type.tensor_type.shape.dim[1].dim_param = f"{value.name}_anchors"
    del graph.value_info[:]  # intermediate shapes of the fixed size
