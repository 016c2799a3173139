"""How a result is filed so that somebody else can check it."""

from lipcert.archive.evidence import WithEvidence

__all__ = ["WithEvidence"]
