"""Twin bounds, tightened where every layer of a dense network is quantised (`quadratic_form`)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lipcert.graph.pair import Pair
from lipcert.methods.base import Bounds, Method
from lipcert.methods.dense_chain import Chain, chain_of
from lipcert.methods.noise import noise
from lipcert.methods.quadratic_proof import proved
from lipcert.methods.quadratic_search import searched
from lipcert.methods.twin import followed
from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch

NEURONS = 6400  # of a layer times bounds that are searched together: their tables stay small


@dataclass(frozen=True)
class QuadraticBounds(Method):
    """Twin bounds, intersected with bounds that know how the sums of a layer hang together.

    Twin bounds alone, at no more cost, where a pair is no chain of dense layers with continuous
    activations beside exact quantisers, in float64 on the CPU.

    Args:
        steps: of the search, about 5 ms each per bound on 100 neurons a layer.
    """

    steps: int = 100

    def bound(self, pair: Pair, region: Region, placement: Placement, watch: Watch) -> Bounds:
        """Never looser than twin bounds."""
        bounds, enclosed = followed(pair, region, placement, watch)
        if enclosed is None or placement.dtype != torch.float64 or placement.device.type != "cpu":
            return bounds
        original, compressed, twins = enclosed
        chain = chain_of(pair, original, compressed, twins.twins)
        if chain is None:
            return bounds
        found = Bounds(self._drift(chain, watch), bounds.original, bounds.compressed, bounds.agree)
        drift = found.as_evaluated(noise(original), noise(compressed)).drift
        return replace(bounds, drift=bounds.drift.intersect(drift))

    def _drift(self, chain: Chain, watch: Watch) -> Interval:
        """Of every output, (batch, outputs)."""
        batch, outputs = len(chain.centre), len(chain.original.bias)
        bounds = max(2, NEURONS // max(layer.middle.shape[1] for layer in chain.hidden))
        inputs = min(batch, bounds // 2)
        some = max(1, bounds // (2 * inputs))
        drift = chain.centre.new_empty(2, batch, outputs)
        for first in range(0, batch, inputs):
            watch("bounding the drift with quadratic terms", first, batch)
            rows = slice(first, first + inputs)
            for start in range(0, outputs, some):
                part = slice(start, start + some)
                drift[:, rows, part] = self._of(chain.part(rows), part)
        return Interval(*drift)

    def _of(self, chain: Chain, outputs: slice) -> Tensor:
        """Lower and upper bounds of some outputs, (2, batch, some)."""
        rows = torch.eye(len(chain.original.bias), dtype=torch.float64)[outputs]
        after = torch.cat([rows, -rows])[:, None].expand(-1, len(chain.centre), -1)
        found = searched(chain, after, -after, self.steps)
        lower, upper = proved(chain, after, -after, found).chunk(2)
        return torch.stack([lower.T, -upper.T])
