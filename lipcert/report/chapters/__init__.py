"""Chapters of the audit report, one per file."""
