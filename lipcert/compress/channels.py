"""Widths of single channels: fewer bits where the outputs that drift furthest do not feel it.

Channels that hardly reach those outputs, or whose rounding errors cancel others', can do with fewer
bits; what that adds is taken from channels that matter. First-order effects (`effects`) foretell
which choice is smallest: a knapsack that is solved as a linear program and rounded. Since effects
hold nearby, a proposal moves the drift by so much at most; it is certified, and how it fared sets
the reach of the next one. Only certified allocations are ever returned.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog
from scipy.sparse import csr_array

from lipcert.compress.bench import Bench, Chosen
from lipcert.compress.codes import WIDTHS
from lipcert.compress.effects import Effects, Foresight
from lipcert.walk.progress import Watch

ROUNDS, PATIENCE = 32, 5  # proposals at most, and in a row without a gain
GAIN = 1e-3  # of the size; less is none
REACH, FARTHER, NEARER = 0.3, 1.5, 0.5  # of the allowed drift, at first; after each proposal
SPARE = 0.1  # of the allowed drift, at most: more left over after a proposal that drifts too far

Options = Float[np.ndarray, " options"]


def refined(bench: Bench, start: Chosen, most: float, watch: Watch) -> Chosen:
    """The smallest allocation found, channel by channel, whose certified drift is allowed.

    Args:
        bench: the network.
        start: an allocation that is allowed.
        most: allowed drift.
        watch: told how many of the rounds are over.
    """
    foresight, best, reach, spare, in_vain = Foresight.of(bench), start, REACH * most, 0.0, 0
    knapsack = _Knapsack.of(bench, best, foresight.effects(best))
    for done in range(ROUNDS):
        watch(f"certifying channels, {bench.size(best)} bytes so far", done, ROUNDS)
        if knapsack is None or in_vain == PATIENCE:
            break
        proposal = knapsack.smallest(most - spare, reach)
        if proposal is None or bench.size(proposal) >= bench.size(best):
            if spare == 0:
                break
            spare, in_vain = 0.0, in_vain + 1
            continue
        drift = bench.largest(proposal)
        if drift > most:
            in_vain, reach = in_vain + 1, NEARER * reach
            spare += min(drift - most, SPARE * most)
            continue
        gained = bench.size(proposal) < (1 - GAIN) * bench.size(best)
        in_vain = 0 if gained else in_vain + 1
        best, reach, spare = proposal, FARTHER * reach, spare / 2
        knapsack = _Knapsack.of(bench, best, foresight.effects(best))
    return best


@dataclass(frozen=True, slots=True, eq=False)
class _Knapsack:
    """A width to choose for every channel of every layer whose effects are known.

    Args:
        chosen: what there is now.
        channels: of each of those layers.
        sizes: bits of every option, (channels * widths,).
        rows: what every option adds to each side, (sides, channels * widths).
        sides: how far they are certified to move now, (sides,).
    """

    chosen: Chosen
    channels: dict[str, int]
    sizes: Options
    rows: Float[np.ndarray, "sides options"]
    sides: Float[np.ndarray, " sides"]

    @classmethod
    def of(cls, bench: Bench, chosen: Chosen, seen: Effects) -> "_Knapsack | None":
        """Around an allocation; None where no effects are known."""
        layers = [layer for layer in bench.layers if layer.name in seen.layers]
        if not layers:
            return None
        widths = np.array(WIDTHS, dtype=np.float64)
        sizes = [
            np.tile(widths * (layer.weight.size // layer.channels), layer.channels)
            for layer in layers
        ]
        rows = [seen.layers[layer.name].reshape(len(seen.sides), -1) for layer in layers]
        channels = {layer.name: layer.channels for layer in layers}
        return cls(chosen, channels, np.concatenate(sizes), np.concatenate(rows, 1), seen.sides)

    def smallest(self, most: float, reach: float) -> Chosen | None:
        """The smallest allocation that the effects allow; None where there is none.

        Args:
            most: of every side.
            reach: that all changes together may move sides by.
        """
        binding = [int(self.sides.argmax())]
        while True:
            parts = self._relaxed(binding, most, reach)
            if parts is None:
                return None
            sums = self.sides + self.rows @ parts
            worst = int(sums.argmax())
            if sums[worst] <= most or worst in binding:
                return self._named(self._rounded(parts))
            binding.append(worst)

    def _relaxed(self, binding: list[int], most: float, reach: float) -> Options | None:
        """Shares of every option, as if channels could have several widths."""
        count = len(self.sizes) // len(WIDTHS)
        one_each = csr_array(np.kron(np.eye(count), np.ones(len(WIDTHS))))
        moves = np.abs(self.rows).max(0)
        found = linprog(
            self.sizes,
            A_ub=np.stack([moves, *self.rows[binding]]),
            b_ub=np.array([reach, *(most - self.sides[binding])]),
            A_eq=one_each,
            b_eq=np.ones(count),
            bounds=(0, 1),
        )
        return None if found.x is None else np.asarray(found.x)

    def _rounded(self, parts: Options) -> Int[np.ndarray, " channels"]:
        """One option per channel: of those that share it the one that moves the furthest least."""
        shares = parts.reshape(-1, len(WIDTHS))
        places, options = shares.argmax(1), np.arange(len(self.sizes)).reshape(shares.shape)
        whole = shares.max(1) > 1 - 1e-6
        sums = self.sides + self.rows[:, options[whole, places[whole]]].sum(1)
        for channel in np.flatnonzero(~whole):
            some = np.flatnonzero(shares[channel] > 1e-6)
            tried = sums[:, None] + self.rows[:, options[channel, some]]
            best = int(tried.max(0).argmin())
            places[channel], sums = some[best], tried[:, best]
        return places

    def _named(self, places: Int[np.ndarray, " channels"]) -> Chosen:
        parts = np.split(np.array(WIDTHS)[places], np.cumsum(list(self.channels.values()))[:-1])
        return {**self.chosen, **dict(zip(self.channels, parts, strict=True))}
