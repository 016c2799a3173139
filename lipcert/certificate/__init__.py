"""What is claimed, on what evidence, and how it is stored."""

from lipcert.certificate.disk import Stored, load

__all__ = ["Stored", "load"]
