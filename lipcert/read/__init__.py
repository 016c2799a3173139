"""Readers: a file or a module becomes a LayerGraph, a file of inputs becomes an array."""

from lipcert.read.inputs import read_inputs
from lipcert.read.module import read_module
from lipcert.read.onnx import read_onnx

__all__ = ["read_inputs", "read_module", "read_onnx"]
