"""Evaluate a network on all ranks and print the seconds; `benchmarks/speed.py` runs this."""

import time

import torch

from minnorm import evaluate, load_data, load_model
from minnorm.runtime import ranks


def main() -> None:
    """Run once to warm up, then once for the time, from a common start to a common end."""
    model, data = load_model("zoo:mnist-cnn"), load_data("mnist[:1000]")
    with ranks.process_group():
        for images in (100, 1000):
            part = load_data(f"mnist[:{images}]") if images < 1000 else data
            ranks.barrier()
            started = time.perf_counter()
            evaluate(model, part, "ddn(steps=20)", batch_size=50, accelerate="off")
            ranks.barrier()
            seconds = time.perf_counter() - started
        if ranks.rank() == 0:
            print(f"{torch.get_num_threads()} thread: {seconds}")


if __name__ == "__main__":
    main()
