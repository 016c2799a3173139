"""Sets of values: regions that are quantified over, enclosures that are proved."""

from lipcert.sets.enclosure import Interval, Twin
from lipcert.sets.region import Ball, Box, Grid, Region

__all__ = ["Ball", "Box", "Grid", "Interval", "Region", "Twin"]
