"""Backward walks: rows of functionals pulled from a node down to the input."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import down, gamma, inflate
from lipcert.walk.table import Rows

log = logging.getLogger(__name__)
CACHE = 48 * 2**20  # bytes of live coefficients that still fit a CPU's caches well
COPIES = 12  # live tensors of the size of the coefficients during a step


class State(Protocol):
    """Rows of functionals on one node, of one network or of two."""

    def plus(self, other: Self) -> Self:
        """Sum, where two readers of a node meet."""
        ...

    def size(self) -> int:
        """Bytes per row."""
        ...


S = TypeVar("S", bound=State)
Pending = dict[str, list[tuple[int, S]]]  # per node, sums of 2^level states each


@dataclass(frozen=True, slots=True, eq=False)
class Pull(Generic[S]):
    """What one step makes of a state.

    In exact arithmetic, and for all inputs in the region:
    old state >= sum of new states on their nodes + constant - slack.
    """

    states: tuple[tuple[str, S], ...]
    constant: Tensor | None = None
    slack: Tensor | None = None


class Rule(Protocol[S]):
    """One way of pulling rows through every node of a graph."""

    def widest(self) -> int:
        """Bytes per row of a dense state on the largest node."""
        ...

    def start(self, name: str, query: "Query", rows: Rows) -> Pull[S]:
        """What is asked of a node's value, pulled through that node."""
        ...

    def step(self, name: str, state: S, rows: Rows) -> Pull[S]:
        """A state on a node's value, pulled through that node."""
        ...

    def finish(self, state: S, rows: Rows) -> Tensor:
        """Proved lower bound of a state on the input, (rows,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Coordinates whose least value (sign 1) or greatest (sign -1, negated) is sought.

    Args:
        sample: (rows,) batch row of each, ascending.
        index: (rows,) flat coordinate of the node's value.
        sign: (rows,) 1 or -1.
        minus: (rows,) coordinate whose value is subtracted, or None.
    """

    sample: Tensor
    index: Tensor
    sign: Tensor
    minus: Tensor | None = None

    @classmethod
    def both_sides(cls, mask: Tensor) -> "Query":
        """Lower then upper bound, in turn, wherever `mask` (batch, *shape) is true."""
        channels = mask.shape[1] if mask.ndim == 4 else 1
        by_place = mask.flatten(1).unflatten(1, (channels, -1)).mT.flatten(1)
        sample, place = by_place.nonzero().repeat_interleave(2, 0).unbind(1)
        index = place % channels * (by_place.shape[1] // channels) + place // channels
        sign = torch.ones_like(sample)
        sign[1::2] = -1
        return cls(sample, index, sign)

    @classmethod
    def contrasts(cls, label: Tensor, count: int) -> "Query":
        """value[label] - value[j] for each of (batch, labels) and every j of `count`."""
        batch, labels = label.shape
        where = torch.arange(batch, device=label.device).repeat_interleave(labels * count)
        other = torch.arange(count, device=label.device).repeat(batch * labels)
        ones = torch.ones_like(other)
        index = label.flatten().repeat_interleave(count)
        return cls(where, index, ones, other)

    def chunk(self, first: int, last: int) -> "Query":
        """Some of the rows."""
        rows = slice(first, last)
        minus = None if self.minus is None else self.minus[rows]
        return Query(self.sample[rows], self.index[rows], self.sign[rows], minus)


def least(
    names: Sequence[str], target: str, query: Query, rule: Rule[S], placement: Placement
) -> Tensor:
    """Proved lower bounds of signed coordinates of node `target`, (rows,).

    Args:
        names: topological order of the graph, the input first.
        target: a node that is not the input.
        query: the rows.
        rule: how rows are pulled.
        placement: its memory budget sizes the chunks.
    """
    total = len(query.sample)
    results: list[Tensor] = []
    first, count, widest = 0, _rows_that_fit(rule.widest(), placement), 1
    while first < total:
        part = query.chunk(first, first + count)
        try:
            bound, widest = _walk(names, target, part, rule, widest)
        except torch.cuda.OutOfMemoryError:
            if count == 1:
                raise
            count = max(1, count // 4)
            continue
        results.append(bound)
        first += len(part.sample)
        if first < total:
            count = _rows_that_fit(widest, placement)
        log.debug("%s: %d of %d rows", target, first, total)
    return torch.cat(results) if results else query.sign.new_zeros(0, dtype=placement.dtype)


def _rows_that_fit(widest: int, placement: Placement) -> int:
    """Rows whose coefficients fit the budget, and on a CPU the caches."""
    if placement.device.type == "cpu":
        budget = min(CACHE, placement.memory or CACHE)
    else:
        budget = placement.budget()
    return max(1, budget // (COPIES * widest))


def _walk(
    names: Sequence[str], target: str, query: Query, rule: Rule[S], widest: int
) -> tuple[Tensor, int]:
    """One chunk from the target to the input; also the most bytes per row of any state."""
    rows = Rows.of(query.sample)
    pull = rule.start(target, query, rows)
    pending: Pending[S] = {}
    constants, slacks = [pull.constant], [pull.slack]
    _merge(pending, pull)
    for name in reversed(names[1 : names.index(target)]):
        state = _merged(pending, name)
        if state is None:
            continue
        widest = max(widest, state.size())
        pull = rule.step(name, state, rows)
        constants.append(pull.constant)
        slacks.append(pull.slack)
        _merge(pending, pull)
    bottom = _merged(pending, names[0])
    assert not pending, f"states left on {list(pending)}"
    assert bottom is not None, "every node reads the input in the end"
    constants.append(rule.finish(bottom, rows))
    return _lowest(constants, slacks), max(widest, bottom.size())


def _lowest(constants: Sequence[Tensor | None], slacks: Sequence[Tensor | None]) -> Tensor:
    """Lower bound of the sum of all constants less all slacks, (rows,)."""
    terms = torch.stack([part for part in constants if part is not None])
    rounding = gamma(len(terms), terms.dtype) * terms.abs().sum(0)
    pads = torch.stack([rounding, *(part for part in slacks if part is not None)])
    return down(terms.sum(0) - inflate(pads.sum(0), len(terms) + len(pads)))


def _merge(pending: Pending[S], pull: Pull[S]) -> None:
    """Adds states pairwise, so that no coefficient passes through many additions."""
    for name, state in pull.states:
        waiting, total, level = pending.setdefault(name, []), state, 0
        while waiting and waiting[-1][0] == level:
            total, level = waiting.pop()[1].plus(total), level + 1
        waiting.append((level, total))


def _merged(pending: Pending[S], name: str) -> S | None:
    """The sum of all states on a node, of which there may be none."""
    total: S | None = None
    for _, state in reversed(pending.pop(name, [])):
        total = state if total is None else state.plus(total)
    return total
