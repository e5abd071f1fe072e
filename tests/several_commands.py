"""Run several commands of `minnorm` in turn, each a list of words as JSON, until one fails.

The ranks of `torchrun` take longer to start than to run a small command.
"""

import json
import sys

from minnorm.cli import main

if __name__ == "__main__":
    for words in sys.argv[1:]:
        sys.argv = ["minnorm", *json.loads(words)]
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                raise
