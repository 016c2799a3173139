"""Lipschitz constants in the l2 norm of convolutional networks, over all inputs.

Every relaxation that applies, the norm product among them, beside the largest difference quotient
found. Every task runs in a process of its own; a search for multipliers stops after its limit on
the wall, and what it has found by then is verified.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.measured import Measured, measured
from benchmarks.resnet20 import resnet20
from benchmarks.table import Cell, Report, begin
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.simplify import simplify
from lipcert.lipschitz.ascent import Ascent
from lipcert.lipschitz.relaxation import Relaxation, Task
from lipcert.lipschitz.relaxations import scan
from lipcert.lipschitz.slopes import everywhere
from lipcert.numeric.norm import Norm
from lipcert.numeric.placement import Placement
from lipcert.read import read_file, read_module
from lipcert.walk.progress import quiet

DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits" / "model.onnx"
FLAGS = {"long": "ten minutes for every search instead of one"}
SECONDS, LONG = 60.0, 600.0
GIB = 8
SHARED = {
    "sww": "mlperf_tiny/sww_dscnn1d_float.onnx",
    "ic_resnet8": "mlperf_tiny/ic_resnet8_float.onnx",
}


def main() -> None:
    """One row per network and relaxation."""
    report, path = begin("lipschitz_conv", __doc__, FLAGS)
    limit = LONG if "long" in report.options.chosen else SECONDS
    report.start(
        "Lipschitz constants of convolutional networks, l2 norm, all inputs",
        f"Searches stop after {limit:g} s; {GIB} GiB of memory at most.",
    )
    for name, graph in _graphs(report):
        seen = _run(lambda graph=graph: _seen(graph), report)
        for kind in scan().values():
            relaxation = kind()
            if Norm.TWO in relaxation.norms:
                found = _run(partial(_upper, relaxation, graph, limit), report)
                report.row(_row(name, relaxation.words, found, seen.value))
        report.row(_row(name, "seen", seen, seen.value))
    if path is not None:
        report.save(path)


def _graphs(report: Report) -> Iterator[tuple[str, LayerGraph]]:
    """Those at hand; a clone without the shared networks has two."""
    yield "digits CNN", simplify(read_file(DIGITS))
    for name, file in SHARED.items():
        if (report.options.data / file).exists():
            yield name, simplify(read_file(report.options.data / file))
        else:
            report.say(f"{name} is left out: no {file} in {report.options.data}")
    yield "ResNet-20, random", simplify(read_module(resnet20(), (3, 32, 32)))


def _run(task: Callable[[], float], report: Report) -> Measured[float]:
    return measured(task, threads=report.options.threads)


def _seen(graph: LayerGraph) -> float:
    return float(Ascent().observe(graph, None, Norm.TWO, Placement(), quiet).quotient)


def _upper(relaxation: Relaxation, graph: LayerGraph, limit: float) -> float:
    """NaN where the relaxation does not apply or does not fit."""
    placement = Placement(memory=GIB << 30)
    task = Task(graph, everywhere(graph), Norm.TWO, 1, placement, limit, quiet)
    found = relaxation.prove(task)
    return math.nan if found is None else float(found.upper)


def _row(network: str, by: str, found: Measured[float], seen: float) -> dict[str, Cell]:
    finite = math.isfinite(found.value)
    return {
        "network": network,
        "by": by,
        "L": found.value if finite else None,
        "over seen": found.value / seen if finite and seen > 0 else None,
        "CPU s": found.cpu_seconds,
        "peak MiB": found.peak_mib,
    }


if __name__ == "__main__":
    main()
