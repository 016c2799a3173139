"""One call from a pair and a region to a certificate."""

import importlib.metadata
import logging
import time
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import nn

from lipcert.archive import WithEvidence
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate.certificate import Certificate, agreement_of, on_cpu
from lipcert.certificate.provenance import Networks, PlacementFacts, Provenance, Saturation
from lipcert.certificate.store import inputs_hash
from lipcert.errors import BadInput, UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.pair import Pair
from lipcert.graph.semantics import Semantics
from lipcert.integer import overflow
from lipcert.integer.excess import excess_of
from lipcert.methods.base import Method
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.machine import machine
from lipcert.numeric.placement import Placement
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.ops.quantize import Quantize
from lipcert.read import read_file, read_module, read_tflite
from lipcert.read.facts import network_facts
from lipcert.read.integer import read_kernels
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch, quiet

LOG = logging.getLogger(__name__)

Network = str | Path | nn.Module
VERSIONS = ("lipcert", "torch", "numpy", "onnx", "onnxruntime")


def load_pair(
    original: Network,
    compressed: Network,
    shape: tuple[int, ...] | None = None,
    semantics: Semantics = Semantics.REAL,
) -> Pair:
    """Both networks read and aligned node by node.

    Args:
        original: f, an ONNX or LiteRT file or a PyTorch module.
        compressed: g, likewise.
        shape: of one input without the batch axis; needed for modules.
        semantics: the arithmetic that the compressed network is executed in; the original runs in
            float32 unless it is `real`.

    Raises:
        BadFile: a file is malformed, truncated or unsafe.
        UnsupportedOp: operations without a rule, all of them listed.
        Mismatch: inputs or outputs differ in shape.
    """
    fixed_point = semantics == Semantics.LITERT
    graphs = [read_network(original, shape), read_network(compressed, shape, fixed_point)]
    files = None
    if not isinstance(original, nn.Module) and not isinstance(compressed, nn.Module):
        files = (Path(original), Path(compressed))
    pair = Pair.of(graphs[0], graphs[1], files, semantics)
    if semantics == Semantics.ORT_X86_SAT16 and files is not None and _is_onnx(files[1]):
        lost = excess_of(pair.compressed, read_kernels(files[1]))
        pair = replace(pair, compressed=replace(pair.compressed, excess=lost))
    how = "node by node" if pair.aligned else "as one joint graph: no alignment was found"
    LOG.info("%s and %s: paired %s", graphs[0].source, graphs[1].source, how)
    return pair


def _runnable(pair: Pair) -> tuple[Path, Path] | None:
    """Both files where ONNX Runtime, optimisation off, can replay inputs: it saturates nothing."""
    files = pair.files
    if files is None or pair.compressed.semantics == Semantics.ORT_X86_SAT16:
        return None
    return files if all(map(_is_onnx, files)) else None


def _is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ".onnx"


def read_network(
    network: Network, shape: tuple[int, ...] | None, fixed_point: bool = False
) -> LayerGraph:
    """One network; see `load_pair`. LiteRT files perhaps with their fixed-point arithmetic."""
    if not isinstance(network, nn.Module):
        place = Path(network)
        if fixed_point and place.suffix.lower() == ".tflite":
            return replace(read_tflite(place, fixed_point=True), path=place)
        return read_file(place)
    if shape is None:
        raise BadInput("read: a module needs shape=(...), one input without the batch axis")
    return read_module(network, shape)


def certify(
    pair: Pair,
    region: Region,
    method: Method | None = None,
    *,
    placement: Placement | None = None,
    attack: DriftAttack | None = None,
    watch: Watch = quiet,
) -> Certificate:
    """Proved bounds on the drift over the region, beside the worst drift that was found.

    Args:
        pair: from `load_pair`.
        region: Box, Ball or Grid, inputs of the networks' shape.
        method: the relaxation; twin bounds by default.
        placement: device, dtype and memory budget; CPU and float64 by default.
        attack: the search for drift; steps=0 and restarts=0 only samples.
        watch: told the stage and how much of it is done.

    Raises:
        BadInput: the region's inputs do not have the networks' shape.
        Unsound: an observation contradicts a bound: a bug of ours.
    """
    fitting(pair, region)
    method, placement = method or TwinBounds(), placement or Placement()
    attack = attack or DriftAttack()
    saturation = _saturation(pair, region)
    start = time.perf_counter()
    bounds = method.certify(pair, region, placement, watch)
    proved = time.perf_counter()
    LOG.info(
        "%s: %d regions bounded in %.1f s", type(method).__name__, region.batch, proved - start
    )
    observed = attack.observe(pair, region, placement, _runnable(pair), watch)
    seconds = {"bounds": proved - start, "attack": time.perf_counter() - proved}
    LOG.info("drift searched for in %.1f s", seconds["attack"])
    labels = len(pair.original.output.shape) == 1 and pair.original.output.shape[0] > 1
    return Certificate(
        region=region,
        drift=on_cpu(bounds.drift),
        original=on_cpu(bounds.original),
        compressed=on_cpu(bounds.compressed),
        observed=observed,
        agreement=agreement_of(bounds.agree, observed) if labels else None,
        method=type(method).__name__,
        semantics=str(pair.compressed.semantics),
        aligned=pair.aligned,
        budget=bounds.budget,
        provenance=_provenance(pair, region, placement, (method, attack), seconds, saturation),
        origin=bounds.origin and bounds.origin.on_cpu(),
        norm=None if bounds.norm is None else bounds.norm.to("cpu", torch.float64),
        archive=WithEvidence(pair, method, placement, watch),
    )


def fitting(pair: Pair, region: Region) -> None:
    """Nothing, if the region holds inputs of the networks' shape.

    Raises:
        BadInput: if not.
    """
    if region.shape != pair.original.input.shape:
        raise BadInput(
            f"region: inputs have shape {region.shape}, but '{pair.original.input.name}' of "
            f"{pair.original.source} reads {pair.original.input.shape}"
        )


def _saturation(pair: Pair, region: Region) -> Saturation | None:
    """Layers whose pair sums may saturate on x86 without VNNI; None for files without int8."""
    if pair.files is None or not _is_onnx(pair.files[1]) or not _quantised(pair.compressed):
        return None
    try:
        report = overflow(read_kernels(pair.files[1]), region)
    except UnsupportedOp:
        return None
    unsafe = [layer.name for layer in report.layers if not layer.safe]
    return Saturation(unsafe_layers=tuple(unsafe), remedies=tuple(report.remedies))


def _quantised(graph: LayerGraph) -> bool:
    return any(isinstance(node.op, Quantize | DynamicQuantize) for node in graph.nodes)


def _provenance(
    pair: Pair,
    region: Region,
    placement: Placement,
    asked: tuple[Method, DriftAttack],
    seconds: dict[str, float],
    saturation: Saturation | None,
) -> Provenance:
    """Where a result comes from."""
    graphs = pair.read or (pair.original, pair.compressed)
    original, compressed = (network_facts(graph, graph.path) for graph in graphs)
    return Provenance(
        networks=Networks(original=original, compressed=compressed),
        inputs_sha256=inputs_hash(region),
        options={"method": _options(asked[0]), "attack": _options(asked[1])},
        placement=PlacementFacts(device=placement.hardware(), dtype=str(placement.dtype)),
        versions={name: importlib.metadata.version(name) for name in VERSIONS},
        machine=machine(),
        threads=torch.get_num_threads(),
        seconds=seconds,
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        saturation=saturation,
    )


def _options(value: object) -> dict[str, JsonValue]:
    """Fields by name; what JSON has no word for is written out."""
    assert is_dataclass(value)
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    plain = (bool, int, float, str, type(None))
    return {name: v if isinstance(v, plain) else repr(v) for name, v in found.items()}
