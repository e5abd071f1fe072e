"""The command line, run by `python -m minnorm` and `torchrun -m minnorm`."""

from minnorm.cli import main

if __name__ == "__main__":
    main()
