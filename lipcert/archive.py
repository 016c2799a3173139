"""How a result is filed: evidence from the method's slopes, claims that the checker derives."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipcert.attacks.replay import replay
from lipcert.certificate import disk
from lipcert.certificate.certificate import Certificate
from lipcert.certificate.evidence import NoEvidence, Partner, SlopeEvidence
from lipcert.certificate.store import Arrays, Proof, document_of, region_of
from lipcert.certificate.verdict import Verdict
from lipcert.check.claim import Regions, derived, values_at
from lipcert.check.network import read
from lipcert.check.operation import Box
from lipcert.check.reader import INPUT, CannotCheckError, Step, Steps
from lipcert.errors import UnsupportedOp
from lipcert.graph.absorb import absorbed
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.pair import Pair
from lipcert.graph.simplify import simplify
from lipcert.graph.widen import restored
from lipcert.methods.base import Method
from lipcert.methods.slopes import Slopes, slopes
from lipcert.numeric.placement import Placement
from lipcert.ops.kinds import Elementwise
from lipcert.sets.enclosure import Interval
from lipcert.walk.progress import Watch, quiet

MARGIN = 1e-9  # by which claims are wider than what was derived, relative: for other machines
POINTS = 2  # inputs at which values are compared
NEAR = 1e-6
LOOSER = 1.01  # claims that are looser than what the method proved by more are told
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class WithEvidence:
    """Files a certificate together with what makes it checkable.

    Args:
        pair: that was certified.
        method: that bounded it.
        placement: of its computation.
        watch: told how far the derivation is.
    """

    pair: Pair
    method: Method
    placement: Placement
    watch: Watch = quiet

    def __call__(self, certificate: Certificate, folder: Path, max_drift: float | None) -> Path:
        """Claims widened to what the checker derives; without evidence where it could not."""
        try:
            evidence, arrays, widened = self._proved(certificate)
        except (UnsupportedOp, CannotCheckError) as error:
            log.warning("saved without evidence, so that nobody can check it: %s", error)
            evidence, arrays, widened = NoEvidence(reason=str(error)), {}, certificate
        _tell(certificate, widened, max_drift)
        proof = Proof(evidence, arrays, self._runtime if _runnable(self.pair) else None)
        return disk.write(*document_of(widened, max_drift, proof), folder)

    def _proved(self, certificate: Certificate) -> tuple[SlopeEvidence, Arrays, Certificate]:
        files = self.pair.files
        if files is None or not _runnable(self.pair):
            raise UnsupportedOp("networks that are no ONNX files")
        if certificate.semantics != "real":
            raise UnsupportedOp("executed arithmetic")
        networks = read(files[0].read_bytes()), read(files[1].read_bytes())
        found = slopes(self.method, self.pair.body(), certificate.region, self.placement)
        evidence, arrays = Translation.of(self.pair, networks).evidence(found)
        region, own = region_of(certificate.region)
        wide = {name: array.astype(float) for name, array in (own | arrays).items()}
        regions = Regions.of(region, wide)
        rows: list[tuple[dict[str, Box], bool]] = []
        for row in range(region.batch):
            self.watch("deriving bounds again for the certificate", row, region.batch)
            rows.append(derived(networks, regions, evidence, wide, row))
        return evidence, arrays, _widened(certificate, rows)

    def _runtime(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What ONNX Runtime makes of inputs, both networks."""
        assert self.pair.files is not None
        seen = replay(self.pair.files, inputs)
        return seen.original, seen.compressed


def _tell(proved: Certificate, claimed: Certificate, max_drift: float | None) -> None:
    """What the evidence does not give of what the method proved."""
    first, second = float(proved.max_drift.max()), float(claimed.max_drift.max())
    lost = max_drift is not None and proved.verdict(max_drift) != claimed.verdict(max_drift)
    if lost or second > LOOSER * first:
        log.warning(
            "the certificate claims %.9g, which its evidence proves; the method proved %.9g%s",
            second,
            first,
            f": it leaves {max_drift:.9g} open" if lost else "",
        )
    if proved.agreement != claimed.agreement:
        log.warning("the certificate's evidence proves one label for fewer inputs")


def _runnable(pair: Pair) -> bool:
    return pair.files is not None and all(p.suffix.lower() == ".onnx" for p in pair.files)


def _widened(certificate: Certificate, rows: Sequence[tuple[dict[str, Box], bool]]) -> Certificate:
    """What both the method and the checker's derivation prove, rounded outward."""
    boxes = {
        name: _hull(getattr(certificate, name), [made[name] for made, _ in rows])
        for name in ("drift", "original", "compressed")
    }
    agreement = certificate.agreement
    if agreement is not None:
        agreement = tuple(
            Verdict.UNKNOWN if known is Verdict.PROVED and not agree else known
            for known, (_, agree) in zip(agreement, rows, strict=True)
        )
    return replace(certificate, agreement=agreement, **boxes)


def _hull(claimed: Interval, rows: Sequence[Box]) -> Interval:
    lower, upper = (
        torch.from_numpy(np.concatenate(ends, 1).T.copy()) for ends in zip(*rows, strict=True)
    )
    both = claimed.hull(Interval(lower.view_as(claimed.lower), upper.view_as(claimed.upper)))
    pad = MARGIN * both.magnitude().flatten(1).amax(1).view(-1, *[1] * (claimed.lower.ndim - 1))
    return Interval(both.lower - pad, both.upper + pad)


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """Nodes of lipcert's graphs as tensors of the files, matched by their values.

    Nothing rests on it: whatever the names, what the checker derives is true.

    Args:
        names: of f's and of g's nodes.
        kept: by g's node, which entries of f's (as many) g's are, where channels were pruned.
    """

    names: tuple[Mapping[str, str], Mapping[str, str]]
    kept: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, pair: Pair, networks: tuple[Steps, Steps]) -> "Translation":
        """Both networks at the same few random inputs."""
        assert pair.read is not None
        simple = [absorbed(simplify(graph)) for graph in pair.read]
        shape = pair.original.input.shape
        points = torch.randn(POINTS, *shape, generator=torch.Generator().manual_seed(0)).double()
        names = tuple(
            dict(_matched(graph, network, points))
            for graph, network in zip(simple, networks, strict=True)
        )
        wide = pair.compressed.by_name()
        kept = {
            name: _entries(rows, wide[name].shape)
            for name, rows in restored(simple[0], simple[1])[1].items()
            if name in wide and len(rows) < wide[name].shape[0]
        }
        return cls((names[0], names[1]), kept)

    def evidence(self, found: Slopes) -> tuple[SlopeEvidence, Arrays]:
        """In the names of the files."""
        slopes: Arrays = {}
        for name, values in found.original.items():
            slopes[f"f:{self._name(0, name)}"] = values.flatten(2).numpy()
        for name, values in found.compressed.items():
            slopes[f"g:{self._name(1, name)}"] = self._narrowed(values, name)
        kept: Arrays = {}
        partners: dict[str, Partner] = {}
        for node, values in found.pairs:
            f, g = self._name(0, node.original.name), self._name(1, node.compressed.name)
            slopes[f"D:h:{g}"] = self._narrowed(values, node.compressed.name)
            which = self.kept.get(node.compressed.name)
            array = None if which is None else f"kept_{len(kept)}"
            kept |= {} if array is None or which is None else {array: which}
            partners[g] = (f, node.original_op is not None, array)
        names = {name: f"slopes_{place}" for place, name in enumerate(slopes)}
        arrays = {names[name]: values for name, values in slopes.items()}
        return SlopeEvidence(slopes=names, partners=partners), arrays | kept

    def _name(self, side: int, node: str) -> str:
        found = self.names[side].get(node)
        if found is None:
            raise UnsupportedOp(f"'{node}', which is no single tensor of its file")
        return found

    def _narrowed(self, values: Tensor, node: str) -> np.ndarray:
        """(batch, slopes, entries), of g's own entries."""
        flat, kept = values.flatten(2).numpy(), self.kept.get(node)
        return flat if kept is None else flat[:, :, kept]


def _entries(channels: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """Flat places of whole channels in a value of some shape."""
    size = int(np.prod(shape[1:]))
    return (channels[:, None] * size + torch.arange(size)).flatten().numpy()


def _matched(graph: LayerGraph, network: Steps, points: Tensor) -> Iterator[tuple[str, str]]:
    """Each node with the first unused tensor of its kind, size and values."""
    mine, theirs = graph.values(points), values_at(network, points.numpy())
    free = dict(network)
    for node in graph.nodes:
        affine = not isinstance(node.op, Elementwise)
        for name, step in free.items():
            if _is_affine(step) == affine and _near(mine[node.name], theirs[name]):
                del free[name]
                yield node.name, name
                break


def _is_affine(step: Step) -> bool:
    return step.name == INPUT or step.act is None


def _near(mine: Tensor, theirs: Box) -> bool:
    """Whether an enclosure is that of some values."""
    first, second = mine.flatten(1).numpy().T, (theirs[0] + theirs[1]) / 2
    if first.shape != second.shape:
        return False
    scale = np.abs(first).max() + 1e-30
    return bool((np.abs(first - second) <= NEAR * scale).all())
