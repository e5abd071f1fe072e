"""The content of a small recipe."""

from typing import Any

CONTENT: dict[str, Any] = {
    "name": "mine",
    "architecture": "mnist_cnn",
    "data": "mnist-sample[:500]",
    "validation": "mnist-sample[500:750]",
    "test": "mnist-sample[750:]",
    "epochs": 3,
    "batch_size": 50,
    "optimizer": {"learning_rate": 0.1},
}
