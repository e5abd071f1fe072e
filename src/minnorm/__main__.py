"""`python -m minnorm` and `torchrun -m minnorm`: the command line."""

from minnorm.cli import main

if __name__ == "__main__":
    main()
