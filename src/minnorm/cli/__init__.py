"""The command line: parse arguments, call the package, print results."""

from minnorm.cli.main import main

__all__ = ["main"]
