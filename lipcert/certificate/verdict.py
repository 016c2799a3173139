"""What is known about a claim."""

from enum import StrEnum


class Verdict(StrEnum):
    """Proved, refuted by an input, or neither."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"
