"""Commands of the command line, one per file: each file's `command`, named by the file."""
