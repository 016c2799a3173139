"""The checker: whether a certificate's claims follow from its evidence and two ONNX files.

It shares the schema with what made the certificate, and nothing else: it reads both models by
itself and derives every bound again, in NumPy, rounded outward. No torch, no solver, no method.
"""

from lipcert.check.answer import UNCHECKED, Answer, check

__all__ = ["UNCHECKED", "Answer", "check"]
