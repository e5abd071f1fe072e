"""The command line: parse, call, print."""

from minnorm.cli.main import main

__all__ = ["main"]
