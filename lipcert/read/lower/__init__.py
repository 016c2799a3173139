"""Lowerings shared by the readers: familiar layers in terms of lipcert's operations."""
