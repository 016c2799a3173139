"""Mixed precision by proof: few bits per weight where the certified drift allows it."""

from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

from lipcert.certificate.certificate import Certificate
from lipcert.certify import certify, fitting, load_pair
from lipcert.compress.allocation import Allocation, Assigned, Uniform, drift_of
from lipcert.compress.bench import Bench, Chosen
from lipcert.compress.channels import refined
from lipcert.compress.codes import WIDTHS, Widths
from lipcert.compress.layers import Layer, in_bytes
from lipcert.compress.quantize import written
from lipcert.compress.search import Bits, Knapsack, Option, search
from lipcert.errors import BadInput, OutOfReach
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.placement import Placement
from lipcert.report.number import above
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch, quiet


def allocate(
    model: str | Path,
    region: Region,
    max_drift: float,
    folder: str | Path = "allocated",
    *,
    placement: Placement | None = None,
    watch: Watch = quiet,
) -> Allocation:
    """The smallest mixed-precision twin found whose drift is proved to be allowed.

    Weights of Conv, Gemm and MatMul layers become codes with one scale and one width of 8, 6, 4 or
    2 bits per output channel; everything else stays as it is. Widths are chosen by channel where
    the bound tells what each adds, else by layer. Every drift is certified by twin bounds on a
    file that was written and read back.

    Args:
        model: an ONNX file.
        region: inputs of the network's shape.
        max_drift: allowed for every output all over the region, nonnegative, output units.
        folder: for the compressed file, `allocation.json` and the certificate.
        placement: device, dtype and memory budget; CPU and float64 by default.
        watch: told the stage and how much of it is done.

    Raises:
        BadFile: the file is malformed, truncated or unsafe.
        BadInput: the drift is no nonnegative number, or the region does not fit the network.
        UnsupportedOp: operations without a rule; or no layer can be quantised.
        OutOfReach: no allocation was proved to stay within the drift.
    """
    source = Path(model)
    if not (isfinite(max_drift) and max_drift >= 0):
        raise BadInput(f"allocate: the allowed drift must be a finite number >= 0, not {max_drift}")
    if source.suffix.lower() != ".onnx":
        raise BadInput(f"allocate: {source}: weights are rewritten in ONNX files only")
    fitting(load_pair(source, source), region)
    placement = placement or Placement()
    with TemporaryDirectory() as scratch:
        bench = Bench.of(source, region, placement, Path(scratch) / "candidate.onnx")
        uniform = _uniform(bench, max_drift, watch)
        chosen = _smallest(bench, uniform, max_drift, watch)
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    target = written(bench.made(chosen), place / f"{source.stem}.allocated.onnx")
    proof = certify(
        load_pair(source, target), region, TwinBounds(budget=True), placement=placement, watch=watch
    )
    made = Allocation(
        max_drift=max_drift,
        layers=tuple(_assigned(layer, chosen[layer.name], proof) for layer in bench.layers),
        kept=bench.kept,
        other=bench.other,
        uniform=uniform,
        files=(source, target),
        certificate=proof,
    )
    made.save(place)
    return made


def _uniform(bench: Bench, most: float, watch: Watch) -> tuple[Uniform, ...]:
    """The same bits everywhere, from most bits down to the first that drifts too far.

    Raises:
        OutOfReach: if the most bits do.
    """
    found: list[Uniform] = []
    for done, width in enumerate(WIDTHS):
        watch(f"certifying {width} bits everywhere", done, len(WIDTHS))
        chosen = bench.everywhere(width)
        found.append(Uniform(width, bench.size(chosen), bench.largest(chosen)))
        if found[-1].drift > most:
            break
    if len(found) == 1 and found[0].drift > most:
        raise OutOfReach(
            f"allocate: even {WIDTHS[0]} bits in every layer of {bench.source} are only proved to "
            f"drift by at most {above(found[0].drift)}, and {most:.6g} is allowed; allow more, or "
            "ask about smaller regions"
        )
    return tuple(found)


def _smallest(bench: Bench, uniform: tuple[Uniform, ...], most: float, watch: Watch) -> Chosen:
    """The smallest allocation found that is allowed, never larger than a uniform one.

    By channel, or by layer where that finds nothing.
    """
    start = [trial for trial in uniform if trial.drift <= most][-1]
    everywhere = bench.everywhere(start.bits)
    channels = refined(bench, everywhere, most, watch)
    if bench.size(channels) < bench.size(everywhere):
        return channels
    return bench.spread(_by_layer(bench, start, most, watch))


def _by_layer(bench: Bench, start: Uniform, most: float, watch: Watch) -> Bits:
    """The smallest bits per layer found that are allowed."""
    knapsack = Knapsack(_options(bench, most, start.bits, watch))
    bits = {layer.name: start.bits for layer in bench.layers}

    def certified(found: Bits) -> float:
        return bench.largest(bench.spread(found))

    return search(knapsack, certified, most, (bits, start.drift), watch)


def _options(bench: Bench, most: float, needed: int, watch: Watch) -> list[Option]:
    """Every layer's widths, certified alone, to the first below `needed` that drifts too far so."""
    options: list[Option] = []
    for place, layer in enumerate(bench.layers):
        for step, width in enumerate(WIDTHS):
            stage = f"certifying {layer.name} alone at {width} bits"
            watch(stage, place * len(WIDTHS) + step, len(bench.layers) * len(WIDTHS))
            widths = layer.everywhere(width)
            drift = bench.drift({layer.name: widths})
            options.append(Option(layer.name, width, layer.size(widths), drift))
            if width <= needed and float(drift.magnitude().max()) > most:
                break
    return options


def _assigned(layer: Layer, widths: Widths, proof: Certificate) -> Assigned:
    return Assigned(
        layer.name, tuple(widths.tolist()), layer.weight.size, in_bytes(layer.size(widths)),
        drift_of(proof, layer.name), layer.fused,
    )  # fmt: skip
