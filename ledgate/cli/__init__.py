"""The command line: a file for each thing that people do with it."""

from ledgate.cli.main import main

__all__ = ["main"]
