"""onnxruntime sessions as Facegate uses them: few threads, no spinning while idle."""

from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Image
from gateway.vision.manifest import Input, Model

Tensor = NDArray[np.float32]


class Network:
    """One loaded model with one input. Not shared between threads."""

    def __init__(self, model: Model, content: bytes, *, threads: int) -> None:
        """Load checked bytes; ``threads`` work on one inference. Raises InvalidInput."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would keep a core busy at an empty door.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own, undocumented classes
            raise InvalidInput(f"model {model.name}: not one onnxruntime can run: {error}") from error
        self.input: Input = model.input
        self._input_name: str = self._session.get_inputs()[0].name
        self.input_shapes: list[list[object]] = [list(i.shape) for i in self._session.get_inputs()]
        self.outputs: list[str] = [o.name for o in self._session.get_outputs()]

    def run(self, picture: Image) -> list[Tensor]:
        """Outputs in the order of ``outputs`` for one BGR picture of the size the network wants."""
        result: list[Tensor] = self._session.run(None, {self._input_name: tensor(picture, self.input)})
        return result


def tensor(picture: Image, want: Input) -> Tensor:
    """1 x 3 x height x width from a BGR picture, in the colour order and range a network wants."""
    mean = (want.mean, want.mean, want.mean)
    return np.asarray(cv2.dnn.blobFromImage(picture, want.scale, mean=mean, swapRB=want.colour == "rgb"))


def embedder_dimension(model: Model, content: bytes) -> int:
    """Length of the embeddings of a 112x112 ArcFace-style model. Raises InvalidInput if it is none."""
    network = Network(model, content, threads=1)
    shapes = network.input_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1:] != [3, 112, 112]:
        raise InvalidInput(f"model {model.name}: input is {shapes}, an embedder takes N x 3 x 112 x 112")
    try:
        first, second = (network.run(np.full((112, 112, 3), grey, np.uint8)) for grey in (0, 200))
    except Exception as error:  # onnxruntime raises its own, undocumented classes
        raise InvalidInput(f"model {model.name}: does not run on a picture: {error}") from error
    if first[0].ndim != 2 or first[0].shape[0] != 1 or not 32 <= first[0].shape[1] <= 2048:
        raise InvalidInput(
            f"model {model.name}: output is {list(first[0].shape)}, an embedder gives 1 x 32…2048"
        )
    if not np.isfinite(first[0]).all() or np.allclose(first[0], second[0]):
        raise InvalidInput(f"model {model.name}: gives the same answer whatever it is shown")
    return int(first[0].shape[1])
