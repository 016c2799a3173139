"""Readers: a file or a module becomes a LayerGraph, a file of inputs becomes an array."""

from lipcert.read.file import read_file
from lipcert.read.inputs import read_inputs
from lipcert.read.module import read_module
from lipcert.read.onnx import read_onnx
from lipcert.read.tflite import read_tflite

__all__ = ["read_file", "read_inputs", "read_module", "read_onnx", "read_tflite"]
