"""Turn block-quantised ONNX weights into plain ones that onnxruntime runs.

onnxruntime 1.32 refuses ``DequantizeLinear`` with ``block_size`` over 8-bit initialisers, so each is computed
once, here: ``(q - zero_point) * scale``, with scale and zero point repeated ``block_size`` times along ``axis``
(ONNX operator set 21). The result depends on the source file alone, so its digest can be in the manifest.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from gateway.domain.errors import InvalidInput


def fold(data: bytes, *, free_size: bool) -> bytes:
    """Serialised model in, serialised model out. Raises InvalidInput when it is no ONNX model.

    ``free_size`` lets the picture's height and width vary, for fully convolutional networks.
    """
    model = parse(data)
    _fold_weights(model.graph)
    _drop_stale_inputs(model.graph)
    if free_size:
        _free_size(model.graph)
    return model.SerializeToString(deterministic=True)


def parse(data: bytes) -> onnx.ModelProto:
    """Parse and check a model. Raises InvalidInput."""
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker each raise types of their own
        raise InvalidInput(f"not a valid ONNX model: {error}", code="model_invalid") from error
    return model


def _fold_weights(graph: onnx.GraphProto) -> None:
    weights = {w.name: w for w in graph.initializer}
    folded = [n for n in graph.node if n.op_type == "DequantizeLinear" and all(i in weights for i in n.input)]
    if not folded:
        return
    for node in folded:
        parts = [numpy_helper.to_array(weights[name]) for name in node.input]
        options = {a.name: a.i for a in node.attribute}
        plain = _dequantise(parts, axis=options.get("axis", 1), block=options.get("block_size", 0))
        graph.initializer.append(numpy_helper.from_array(plain, node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    kept = [w for w in graph.initializer if w.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


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


def _drop_stale_inputs(graph: onnx.GraphProto) -> None:
    """Weights listed as inputs could be replaced at run time, which keeps onnxruntime from fusing them.

    A folded weight has an input of its old name too, so what remains is what some node still needs.
    """
    weights = {w.name for w in graph.initializer}
    made = {name for node in graph.node for name in node.output}
    used = {name for node in graph.node for name in node.input}
    kept = [i for i in graph.input if i.name in used - weights - made]
    del graph.input[:]
    graph.input.extend(kept)


def _free_size(graph: onnx.GraphProto) -> None:
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        dims[2].dim_param, dims[3].dim_param = "height", "width"
    for value in graph.output:
        value.type.tensor_type.shape.dim[1].dim_param = f"{value.name}_anchors"
    del graph.value_info[:]  # intermediate shapes of the fixed size
