"""Sections of a report, one per file; every file of this folder is scanned."""
