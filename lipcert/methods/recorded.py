"""Backward walks whose states are kept: what a bound is made of, node by node."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lipcert.methods.crown_rule import asked
from lipcert.methods.twin_rule import Double, TwinRule
from lipcert.numeric.placement import Placement
from lipcert.walk.backward import Pull, Query, least
from lipcert.walk.table import Rows

States = Mapping[str, tuple[Double, ...]]  # by node, one per chunk of rows


@dataclass(frozen=True, slots=True, eq=False)
class _Recorded:
    """A rule that keeps the states which it pulls."""

    rule: TwinRule
    states: dict[str, list[Double]]

    def widest(self) -> int:
        return self.rule.widest()

    def start(self, name: str, query: Query, rows: Rows) -> Pull[Double]:
        shape, like = self.rule.nodes[name].original.shape, self.rule.support.hull.lower
        return self.step(name, Double(asked(query, shape, like), None), rows)

    def step(self, name: str, state: Double, rows: Rows) -> Pull[Double]:
        self.states.setdefault(name, []).append(state)
        return self.rule.step(name, state, rows)

    def finish(self, state: Double, rows: Rows) -> Tensor:
        self.states.setdefault(next(iter(self.rule.nodes)), []).append(state)
        return self.rule.finish(state, rows)


def recorded(query: Query, rule: TwinRule, placement: Placement) -> tuple[Tensor, States]:
    """Lower bounds of the pair's last node, (rows,), and the rows' states on every node passed.

    Args:
        query: coordinates of the drift.
        rule: with a step for every node.
        placement: of the walk.
    """
    names, keeping = tuple(rule.nodes), _Recorded(rule, {})
    bound = least(names, names[-1], query, keeping, placement)
    return bound, {name: tuple(states) for name, states in keeping.states.items()}
