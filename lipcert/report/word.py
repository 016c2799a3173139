"""Regions and methods in plain words."""

import re
from functools import singledispatch

from lipcert.report.number import length
from lipcert.sets.region import Ball, Box, Grid, Region


@singledispatch
def region_words(region: Region | None) -> str:
    """What is quantified over, as in '10 boxes of radius 0.01'; None is all inputs."""
    assert region is not None
    return f"{count(region.batch, 'region')} ({type(region).__name__})"


@region_words.register
def _of_all(_: None) -> str:
    return "all inputs"


@region_words.register
def _of_box(region: Box) -> str:
    radius = _radius(region)
    if radius == 0:
        return count(region.batch, "point")
    return f"{count(region.batch, 'box')} of radius {length(radius)}"


@region_words.register
def _of_ball(region: Ball) -> str:
    return f"{count(region.batch, 'l2 ball')} of radius {length(region.radius)}"


@region_words.register
def _of_grid(region: Grid) -> str:
    radius = length(_radius(region))
    return f"{count(region.batch, 'grid')} of radius {radius} and step {region.step:.6g}"


def method_words(name: str) -> str:
    """A method's class name as words: 'twin bounds'."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return re.sub(r"\b(sdp|crown)\b", lambda found: found[0].upper(), words)


def count(number: int, noun: str) -> str:
    """A number and its noun."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"


def _radius(region: Region) -> float:
    hull = region.hull
    return float((hull.upper - hull.lower).max()) / 2
