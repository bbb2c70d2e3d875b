"""onnxruntime sessions as Facegate uses them: few threads, no spinning while idle."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gateway.domain.errors import InvalidInput

Tensor = NDArray[np.float32]


class Network:
    """One loaded model with one input. Not shared between threads."""

    def __init__(self, path: Path, threads: int) -> None:
        """Load a checked file; ``threads`` work on one inference. Raises InvalidInput."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would keep a core busy at an empty door.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own, undocumented classes
            raise InvalidInput(f"{path}: not a model onnxruntime can run: {error}") from error
        self._input = self._session.get_inputs()[0].name
        self.input_shape: list[object] = list(self._session.get_inputs()[0].shape)
        self.outputs: list[str] = [o.name for o in self._session.get_outputs()]

    def run(self, tensor: Tensor) -> list[Tensor]:
        """Outputs in the order of ``outputs``."""
        result: list[Tensor] = self._session.run(None, {self._input: tensor})
        return result


def embedder_dimension(path: Path) -> int:
    """Length of the embeddings of a 112x112 ArcFace-style model. Raises InvalidInput if it is none."""
    network = Network(path, threads=1)
    shape = network.input_shape
    if len(shape) != 4 or shape[1:] != [3, 112, 112]:
        raise InvalidInput(f"{path}: input is {shape}, an embedder takes N x 3 x 112 x 112")
    out = network.run(np.zeros((1, 3, 112, 112), np.float32))[0]
    if out.ndim != 2 or out.shape[0] != 1 or not 32 <= out.shape[1] <= 2048:
        raise InvalidInput(f"{path}: output is {list(out.shape)}, an embedder gives 1 x 32…2048")
    return int(out.shape[1])
