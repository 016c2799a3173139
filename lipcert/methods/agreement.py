"""Top-1 agreement: both networks keep one label all over the region."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.walk.backward import Query, Rule, S, least


def label_of(outputs: Interval) -> Tensor | None:
    """The label to be proved, (batch,): that of the boxes' middle; None without labels."""
    if outputs.lower.ndim != 2 or outputs.lower.shape[1] < 2:
        return None
    return outputs.centre.argmax(-1)


def margins(
    names: Sequence[str], rule: Rule[S], placement: Placement, label: Tensor, count: int
) -> Tensor:
    """Lower bounds of output[label] less every other output, (batch, outputs); own is infinite.

    Under a rule that bounds drifts it is drift[label] less every other drift.
    """
    query = Query.contrasts(label[:, None], count)
    bound = least(names, names[-1], query, rule, placement)
    return without_own(bound.view(-1, count), label)


def box_margins(outputs: Interval, label: Tensor) -> Tensor:
    """The same from boxes of the outputs alone."""
    own = outputs.lower.gather(1, label[:, None])
    return without_own(Interval(own, own).minus(outputs).lower, label)


def without_own(margin: Tensor, label: Tensor) -> Tensor:
    """The label's margin over itself is no condition."""
    return margin.scatter(1, label[:, None], torch.inf)


def beyond(rates: tuple[Tensor, Tensor], *margin: Tensor) -> Tensor:
    """Rows in which every margin is proved positive, also behind an executed softmax, (batch,).

    Args:
        rates: relative errors of executed probabilities of both networks, (batch, 1); zero if none.
        margin: lower bounds of a label's logit less every other, (batch, outputs).
    """
    least = 2 * torch.maximum(*rates)
    return torch.stack([(m > least).all(1) for m in margin]).all(0)
