"""LiteRT itself, on its reference kernels: the oracle of the integer evaluator."""

from pathlib import Path
from types import ModuleType

import numpy as np


def reference(
    litert: ModuleType, path: Path, codes: np.ndarray, places: list[int]
) -> list[np.ndarray]:
    """Codes of some tensors, by their places in the file, for codes of inputs (batch, *shape)."""
    session = litert.Interpreter(
        str(path),
        num_threads=1,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    session.allocate_tensors()
    (entry,) = session.get_input_details()
    rows: list[list[np.ndarray]] = []
    for row in codes:
        session.set_tensor(entry["index"], row.astype(entry["dtype"])[None])
        session.invoke()
        rows.append([session.get_tensor(place)[0].copy() for place in places])
    return [np.stack(column).astype(np.int64) for column in zip(*rows, strict=True)]
