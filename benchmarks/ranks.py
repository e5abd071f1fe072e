"""Evaluates a network on all ranks and prints the seconds; started by `benchmarks/speed.py`."""

import time

import torch

from minnorm import evaluate, load_data, load_model, runtime


def main() -> None:
    """Runs once for warming up, then once for the time, from a common start to a common end."""
    model, data = load_model("zoo:mnist-cnn"), load_data("mnist[:1000]")
    with runtime.ranks():
        for images in (100, 1000):
            part = load_data(f"mnist[:{images}]") if images < 1000 else data
            runtime.barrier()
            started = time.perf_counter()
            evaluate(model, part, "ddn(steps=20)", batch_size=50, accelerate="off")
            runtime.barrier()
            seconds = time.perf_counter() - started
        if runtime.rank() == 0:
            print(f"{torch.get_num_threads()} thread: {seconds}")


if __name__ == "__main__":
    main()
