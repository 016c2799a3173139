"""How compression moves Lipschitz constants and drift: bits of weights, and shares of zeros."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

from onnx import ModelProto

from lipcert.attacks.drift import DriftAttack
from lipcert.certificate.lipschitz import Role
from lipcert.certify import certify, load_pair
from lipcert.compress.codes import closest_scale, coded
from lipcert.compress.layers import Layer, layers_of
from lipcert.compress.prune import sparse
from lipcert.compress.quantize import opened, quantised, written
from lipcert.errors import UnsupportedOp
from lipcert.graph.pair import Pair
from lipcert.lipschitz.bound import LipschitzBound, PairBounds
from lipcert.lipschitz.prove import Asked, Effort, bounds_of, parts_of
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.norm import Norm
from lipcert.sets.region import Region
from lipcert.walk.interrupt import noted
from lipcert.walk.progress import Watch, quiet

BITS = (8, 7, 6, 5, 4, 3, 2)
METHOD = TwinBounds()  # of the drift
ZEROS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
COLUMNS = (
    "change",
    "amount",
    "original_proved",
    "original_by",
    "original_seen",
    "compressed_proved",
    "compressed_by",
    "compressed_seen",
    "difference_proved",
    "difference_by",
    "difference_seen",
    "drift_proved",
    "drift_seen",
)


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One compressed network.

    Args:
        change: "bits" of the weights, or the share of "zeros" among them.
        amount: how many.
        bounds: constants of both networks and of their difference.
        drift: largest over outputs and rows, proved and seen; None without a region.
    """

    change: str
    amount: float
    bounds: PairBounds
    drift: tuple[float, float] | None

    def cells(self) -> tuple[str | float, ...]:
        """In the order of `COLUMNS`; empty where nothing is known."""
        parts = self.bounds.parts().values()
        sides = (value for b in parts for value in (b.upper, b.method, b.observed))
        drift = ("", "") if self.drift is None else self.drift
        return (self.change, self.amount, *sides, *drift)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """All variants of one network.

    Args:
        source: the original file.
        norm: of inputs and outputs, for the constants.
        region: over which; None for all inputs, then without drift.
        variants: bits downward, then zeros upward.
    """

    source: Path
    norm: Norm
    region: Region | None
    variants: tuple[Variant, ...]

    def of(self, change: str) -> tuple[Variant, ...]:
        """Those of one kind."""
        return tuple(v for v in self.variants if v.change == change)

    def facts(self) -> list[dict[str, str | float | None]]:
        """A mapping per variant, for programs; null where nothing finite is known."""
        rows = (zip(COLUMNS, variant.cells(), strict=True) for variant in self.variants)
        return [{name: _known(value) for name, value in row} for row in rows]

    def save(self, folder: str | Path) -> Path:
        """Write `sweep.csv` into a folder; returns its path."""
        path = Path(folder) / "sweep.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows(variant.cells() for variant in self.variants)
        return path


@dataclass(frozen=True, slots=True)
class Amounts:
    """Which variants are made.

    Args:
        bits: of weights with one scale per output channel, 2 to 8.
        zeros: shares of each layer's weights that are pruned by magnitude.
    """

    bits: tuple[int, ...] = BITS
    zeros: tuple[float, ...] = ZEROS


@dataclass(frozen=True, slots=True, eq=False)
class Swept:
    """What is asked of every variant.

    Args:
        norm: of inputs and outputs, for the constants.
        region: over which; None for all inputs.
        effort: what the constants may cost.
        attack: the search for drift.
    """

    norm: Norm = Norm.TWO
    region: Region | None = None
    effort: Effort = field(default_factory=Effort)
    attack: DriftAttack = field(default_factory=DriftAttack)


def sweep(
    source: str | Path,
    asked: Swept | None = None,
    amounts: Amounts | None = None,
    watch: Watch = quiet,
) -> Sweep:
    """Constants and drift of a network beside each of its compressed variants.

    The first Ctrl-C ends it after the variant at hand, whose searches give their best so far.

    Args:
        source: an ONNX file; every weight that can become codes does, all with the same bits.
        asked: of every variant; all inputs in the l2 norm by default.
        amounts: which variants.
        watch: told the stage and how far it is.

    Raises:
        UnsupportedOp: no layer can be compressed, or one has no Lipschitz rule.
        BadFile: the file is malformed, truncated or unsafe.
    """
    path, asked, amounts = Path(source), asked or Swept(), amounts or Amounts()
    found: list[Variant] = []
    total = len(amounts.bits) + len(amounts.zeros)
    with TemporaryDirectory() as scratch, noted() as interrupt:
        for change, amount, model in _models(path, amounts):
            what = f"{amount:g} bits" if change == "bits" else f"{amount:.0%} zeros"
            done = len(found)

            def told(stage: str, _done: int, _total: int, what: str = what) -> None:
                watch(f"{what}: {stage}", len(found), total)

            watch(what, done, total)
            pair = load_pair(path, written(model, Path(scratch) / f"{change}{amount:g}.onnx"))
            bounds = _constants(pair, asked, found[0].bounds if found else None, told)
            found.append(Variant(change, amount, bounds, _drift(pair, asked, told)))
            if interrupt.pressed:
                break
    return Sweep(path, asked.norm, asked.region, tuple(found))


def _models(path: Path, amounts: Amounts) -> Iterator[tuple[str, float, ModelProto]]:
    """Every variant as a file's content."""
    model = opened(path)
    layers, kept = layers_of(model)
    if not layers:
        reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in kept)
        raise UnsupportedOp(f"{path}: no layer can be compressed ({reasons or 'none there'})")
    tensors: Mapping[str, Layer] = {layer.tensor: layer for layer in layers}
    for bits in amounts.bits:
        codes = {
            name: coded(
                layer.weight, layer.axis, bits, closest_scale(layer.weight, layer.axis, bits)
            )
            for name, layer in tensors.items()
        }
        yield "bits", bits, quantised(model, codes)
    for share in amounts.zeros:
        yield "zeros", share, sparse(model, tensors, share)


def _constants(pair: Pair, asked: Swept, earlier: PairBounds | None, watch: Watch) -> PairBounds:
    """Of a variant; those of the original are all variants'."""
    with noted() as interrupt:
        task = Asked(asked.norm, asked.region, asked.effort, watch, interrupt)
        given: dict[Role, LipschitzBound] = (
            {} if earlier is None else {"original": earlier.original}
        )
        return PairBounds(**bounds_of(parts_of(pair, None, task), task, given))


def _drift(pair: Pair, asked: Swept, watch: Watch) -> tuple[float, float] | None:
    """Largest over outputs and rows, proved and seen, where there is a region."""
    if asked.region is None:
        return None
    made = certify(pair, asked.region, METHOD, attack=asked.attack, watch=watch)
    seen = made.observed_drift
    assert seen is not None
    return float(made.max_drift.max()), float(seen.max())


def _known(value: str | float) -> str | float | None:
    if isinstance(value, str):
        return value or None
    return value if isfinite(value) else None
