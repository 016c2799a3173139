"""What a deployed runtime computes on given inputs: ONNX Runtime on the two files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from lipcert.errors import BadFile

BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Outputs of both files on the same inputs, (inputs, outputs) flattened, float64.

    Args:
        original: of the first file.
        compressed: of the second.
        name: runtime, version and configuration.
    """

    original: Tensor
    compressed: Tensor
    name: str

    @property
    def drift(self) -> Tensor:
        """Compressed minus original."""
        return self.compressed - self.original


def replay(files: tuple[Path, Path], inputs: Tensor) -> Replay:
    """Both files on inputs (inputs, *shape), rounded to the files' own input type.

    Args:
        files: original and compressed ONNX file.
        inputs: float64; the runtime reads each as its nearest float32.

    Raises:
        BadFile: if the runtime refuses a file or these inputs.
    """
    first, second = (_outputs(path, _session(path), inputs) for path in files)
    name = f"onnxruntime {onnxruntime.__version__} CPU, optimisation off"
    return Replay(first, second, name)


def _session(path: Path) -> onnxruntime.InferenceSession:
    """Every operator of the file by its own kernel."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no base class
        raise BadFile(f"{path}: ONNX Runtime cannot load it ({error})") from error


def _outputs(path: Path, session: onnxruntime.InferenceSession, inputs: Tensor) -> Tensor:
    """All outputs, in batches of the size that the file fixes."""
    (source,) = session.get_inputs()
    fixed = source.shape[0] if isinstance(source.shape[0], int) else None
    size = fixed or BATCH
    dtype = np.float64 if source.type == "tensor(double)" else np.float32
    rows = inputs.detach().cpu().numpy().astype(dtype)
    found: list[np.ndarray] = []
    for first in range(0, len(rows), size):
        batch = rows[first : first + size]
        short = (fixed or len(batch)) - len(batch)
        full = np.concatenate([batch, batch[-1:].repeat(short, 0)])
        try:
            (output,) = session.run(None, {source.name: full})
        except Exception as error:  # the runtime's exceptions share no base class
            raise BadFile(f"{path}: ONNX Runtime fails on these inputs ({error})") from error
        found.append(np.asarray(output, dtype=np.float64).reshape(len(full), -1)[: len(batch)])
    return torch.from_numpy(np.concatenate(found))
