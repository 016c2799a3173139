"""A network from the bytes of an ONNX file, for a batch of one."""

import hashlib
from pathlib import Path

import numpy as np
from onnx import ModelProto, numpy_helper

from lipcert.check import codes, layers, named
from lipcert.check.reader import INPUT, Reader, Step, Steps, hold, need


def opened(path: Path, role: str, expected: str | None) -> Steps:
    """A network from the file whose SHA-256 is as stated."""
    need(path.is_file(), f"{path} is not here; name the files with --models")
    data = path.read_bytes()
    same = hashlib.sha256(data).hexdigest() == expected
    hold(same, f"{path} is not the {role} file that was certified")
    return read(data)


def read(data: bytes) -> Steps:
    """What the output depends on."""
    graph = (model := ModelProto.FromString(data)).graph
    opsets = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    need(len(opsets) == 1 and opsets[0] >= 11, "an opset before 11")
    need(not model.functions and not graph.sparse_initializer, "functions or sparse weights")
    tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute)]
    need(not any(t.data_location for t in tensors), "weights outside the file")
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    (source,), (output,) = (v for v in graph.input if v.name not in stored), graph.output
    kind = source.type.tensor_type
    shape = tuple(d.dim_value for d in kind.shape.dim)[1:]
    need(len(stored) == len(graph.initializer), "two weights of one name")
    need(kind.elem_type in (1, 11) and min(shape, default=0) > 0, "an input of no known shape")
    steps = Steps({INPUT: (start := Step(INPUT, (), shape, (), np.zeros(1), None))})
    steps.double = kind.elem_type == 11
    net = Reader(stored | {source.name: start, "": None}, steps, opsets[0])
    for node in graph.node:
        net.read(node, layers.RULES | codes.RULES | named.RULES)
    last = list(net.steps.values())[-1]
    ends = net.known.get(output.name) is last is not start
    ends &= not net.steps.softmax or graph.node[-1].output[0] == output.name
    need(ends, "an output that is not the last value")
    kept = {last.name: last}
    for name, step in reversed(net.steps.items()):
        kept |= {name: step} if any(name in reader.inputs for reader in kept.values()) else {}
    found = Steps(reversed(kept.items()))
    vars(found).update(vars(net.steps))
    return found
