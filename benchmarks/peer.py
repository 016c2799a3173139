"""Beside auto_LiRPA 0.3: agreement of interval and CROWN bounds, CPU time, memory, joint graphs.

Bounds agree where the peer bounds what lipcert bounds: `Intermediate.UNDECIDED` of
benchmarks.peers.auto_lirpa; its default is compared too, by the width of the bounds. Costs are
of one CROWN pass from a built graph, the peer's by its default and in its matrix mode; what the
peer needs to build its graph stands apart. Both run in turn, in one process.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import inputs
from benchmarks.measured import apart, measured, raced
from benchmarks.networks import KINDS, box, seeded
from benchmarks.peers.auto_lirpa import (
    Intermediate,
    PeerMissingError,
    build_graph,
    computing_in,
    crown_bounds,
    crown_of,
    import_auto_lirpa,
    interval_bounds,
)
from benchmarks.peers.onnx_module import Difference, import_onnx2torch, load_module
from benchmarks.proved import bounded, largest
from benchmarks.table import Report, begin
from lipcert import Box, Pair, Placement, load_pair
from lipcert.graph.layer_graph import LayerGraph
from lipcert.methods.crown import Crown
from lipcert.methods.enclosed import enclose
from lipcert.methods.interval import propagated
from lipcert.methods.twin import TwinBounds
from lipcert.read import read_module, read_onnx
from lipcert.sets.enclosure import Interval
from lipcert.walk.guard import direct_arithmetic

BATCH = 10
FLAGS = {"resnet": "also one CROWN pass over ic_resnet8: minutes"}
MNIST = "mnist/mnist_relu_3_100"
SWW = "mlperf_tiny/sww_dscnn1d"
RESNET = "mlperf_tiny/ic_resnet8_float"
PAIRS = {"mnist": (MNIST, f"{MNIST}_16bit"), "sww": (f"{SWW}_float", f"{SWW}_int8_weights_only")}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One network as both tools read it, over one region."""

    title: str
    graph: LayerGraph
    module: Callable[[], nn.Module]
    region: Box


def main() -> None:
    """All tables; without the peer, those that do not need it, and a plain word."""
    report, path = begin("peer", __doc__, FLAGS)
    missing = absent()
    _twin_costs(report)
    if missing is None:
        _agreement(report)
        _costs(report)
        _joints(report)
    else:
        report.say(f"\nThe peer's tables are left out: {missing}")
    if path is not None:
        report.save(path)


def absent() -> str | None:
    """Why the peer cannot run here; None where it can."""
    try:
        import_auto_lirpa()
        import_onnx2torch()
    except PeerMissingError as error:
        return str(error)
    return None


def _regions(data: Path) -> Iterator[tuple[str, str, Box]]:
    """Pair, name and region of the first input."""
    yield "mnist", "mnist, 3/255", Box.around(inputs.mnist(data, 1), 3 / 255, clip=(0.0, 1.0))
    for name, eps in (("0.1/255", 0.1 / 255), ("1/255", 1 / 255)):
        yield "sww", f"sww, {name}", Box.around(inputs.sww(data, 1), eps, clip=(0.0, 1.0))


def _cases(report: Report) -> Iterator[Case]:
    """Networks of the agreement and of the costs."""
    data = report.options.data
    for kind in KINDS:
        module, shape = seeded(kind, 0)
        region = Box.between(*box(shape, 0, 0.05))
        yield Case(f"{kind}, seeded", read_module(module, shape), _giving(module), region)
    for pair, title, region in _regions(data):
        path = data / f"{PAIRS[pair][0]}.onnx"
        yield Case(title, read_onnx(path), _loading([path]), region)
    path = data / f"{MNIST}.onnx"
    region = Box.around(inputs.mnist(data, BATCH), 3 / 255, clip=(0.0, 1.0))
    yield Case(f"mnist, 3/255, {BATCH} inputs", read_onnx(path), _loading([path]), region)


def _giving(module: nn.Module) -> Callable[[], nn.Module]:
    return lambda: module


def _loading(paths: Sequence[Path]) -> Callable[[], nn.Module]:
    """One network, or the difference of two."""
    if len(paths) == 1:
        return lambda: load_module(paths[0])
    return lambda: Difference(load_module(paths[0]), load_module(paths[1]))


def _agreement(report: Report) -> None:
    report.start(
        "Agreement in float64: largest difference of any bound, relative to that bound or, where",
        "that is larger, to its output's width. Width: ours over the peer's default CROWN's, mean.",
    )
    for case in _cases(report):
        report.row({"network": case.title, **apart(lambda case=case: _differences(case))})


def _differences(case: Case) -> dict[str, float]:
    lower, upper = case.region.lower, case.region.upper
    module = case.module()
    with direct_arithmetic():
        steps = propagated(case.graph, case.region.hull)
    ours = crown(case.graph, case.region, torch.float64)
    matched = crown_bounds(module, lower, upper, Intermediate.UNDECIDED)
    default = crown_bounds(module, lower, upper)
    width = (ours.upper - ours.lower).mean() / (default[1] - default[0]).mean()
    return {
        "interval": difference(steps, interval_bounds(module, lower, upper)),
        "CROWN": difference(ours, matched),
        "width": float(width),
    }


def difference(ours: Interval, peers: tuple[Tensor, Tensor]) -> float:
    """Largest difference of a bound, relative to the peer's bound or, if larger, its width.

    An output that is constantly zero has neither: there it is relative to the row's largest bound.
    """
    width, largest_bound = peers[1] - peers[0], torch.maximum(-peers[0], peers[1]).amax()
    worst = 0.0
    for own, other in ((ours.lower, peers[0]), (ours.upper, peers[1])):
        scale = torch.maximum(other.abs(), width)
        scale = torch.where(scale > 0, scale, largest_bound)
        worst = max(worst, float(((own - other).abs() / scale).max()))
    return worst


def crown(graph: LayerGraph, region: Box, dtype: torch.dtype) -> Interval:
    """Our CROWN bounds of one network: one pass."""
    with direct_arithmetic():
        return enclose(graph, region, Placement(dtype=dtype)).output()


def peer_pass(case: Case, dtype: torch.dtype) -> tuple[Callable[[], tuple[Tensor, Tensor]], float]:
    """One CROWN pass of the peer on a graph that is built, and CPU seconds of building it."""
    lower, upper = (end.to(dtype) for end in (case.region.lower, case.region.upper))
    module = case.module()
    start = time.process_time()
    with computing_in(dtype):
        built: tuple[Any, Tensor] = build_graph(module, lower, upper)
    seconds = time.process_time() - start

    def run() -> tuple[Tensor, Tensor]:
        with computing_in(dtype):
            return crown_of(*built)

    return run, seconds


def _costs(report: Report) -> None:
    report.start(
        "One CROWN pass over one network: median CPU seconds in turn, memory added at the peak",
        "Peer: default of release 0.3, matrix mode; its building of the graph is not in its time.",
    )
    for case in _cases(report):
        for dtype in (torch.float32, torch.float64):
            _cost(report, case, dtype, report.options.runs)
    if "resnet" in report.options.chosen:
        data = report.options.data
        path = data / f"{RESNET}.onnx"
        region = Box.around(inputs.cifar(data, 1), 1.0, clip=(0.0, 255.0))
        case = Case("ic_resnet8, 1 pixel", read_onnx(path), _loading([path]), region)
        _cost(report, case, torch.float32, 1)


def _cost(report: Report, case: Case, dtype: torch.dtype, runs: int) -> None:
    threads = report.options.threads
    run, building = peer_pass(case, dtype)

    def own() -> Interval:
        return crown(case.graph, case.region, dtype)

    seconds = raced({"ours": own, "peer": run}, runs, threads)
    ours, peers = measured(own, threads=threads), measured(run, threads=threads)
    report.row(
        {
            "network": f"{case.title}, {str(dtype).removeprefix('torch.')}",
            "ours CPU s": seconds["ours"],
            "peer CPU s": seconds["peer"],
            "time ratio": seconds["ours"] / seconds["peer"],
            "peer build s": building,
            "ours MiB": ours.added_mib,
            "peer MiB": peers.added_mib,
            "ours peak MiB": ours.peak_mib,
            "peer peak MiB": peers.peak_mib,
        }
    )


def _twin_costs(report: Report) -> None:
    report.start(
        "Twin bounds against our CROWN, of one pair: median CPU seconds in turn",
        "CROWN: both networks and the graph of g - f. Bounds: largest |drift|, first input.",
    )
    data, options = report.options.data, report.options
    for name, title, region in _regions(data):
        original, compressed = (data / f"{part}.onnx" for part in PAIRS[name])
        pair = load_pair(original, compressed)
        methods = {"CROWN": Crown(), "twin": TwinBounds()}
        tasks = {
            key: lambda method=method, pair=pair, region=region: method.certify(
                pair, region, Placement()
            )
            for key, method in methods.items()
        }
        seconds = raced(tasks, options.runs, options.threads)
        found = {key: bounded(pair, region, m, 1, options.threads) for key, m in methods.items()}
        report.row(
            {
                "pair": title,
                "CROWN s": seconds["CROWN"],
                "twin s": seconds["twin"],
                "ratio": seconds["twin"] / seconds["CROWN"],
                "CROWN": float(largest(found["CROWN"].value)),
                "twin": float(largest(found["twin"].value)),
                "CROWN MiB": found["CROWN"].added_mib,
                "twin MiB": found["twin"].added_mib,
            }
        )


def _joints(report: Report) -> None:
    report.start(
        "Drift: the peer's CROWN on the graph of g - f beside our CROWN and twin bounds",
        "Largest |drift| of the first input and median CPU seconds in turn; peer in float32.",
    )
    data, options = report.options.data, report.options
    for name, title, region in _regions(data):
        original, compressed = (data / f"{part}.onnx" for part in PAIRS[name])
        pair = load_pair(original, compressed)
        case = Case(title, pair.original, _loading([original, compressed]), region)
        run, _ = peer_pass(case, torch.float32)

        def twin(pair: Pair = pair, region: Box = region) -> Interval:
            return TwinBounds().certify(pair, region, Placement()).drift

        seconds = raced({"peer": run, "twin": twin}, options.runs, options.threads)
        lower, upper = apart(run, options.threads)
        joint = bounded(pair, region, Crown(), 1, options.threads)
        report.row(
            {
                "pair": title,
                "peer": float(torch.maximum(-lower, upper).max()),
                "our CROWN": float(largest(joint.value)),
                "twin": float(largest(apart(twin, options.threads))),
                "peer s": seconds["peer"],
                "our CROWN s": joint.cpu_seconds,
                "twin s": seconds["twin"],
                "time ratio": seconds["twin"] / seconds["peer"],
            }
        )


if __name__ == "__main__":
    main()
