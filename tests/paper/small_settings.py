"""Settings whose runs take a moment."""

from minnorm.paper.experiment import AttackRow, Experiment, Setting
from paper.measured_by_hand import experiment

LINEAR = "evaluation.tiny_models:linear"
NOTHING = "No batch of it is finished yet."


def setting(**values: object) -> Setting:
    """Return a setting of two rows, one of them apart on fewer images."""
    rows = (
        AttackRow(
            name="C&W 9x10,000",
            attack="ddn(steps=3)",
            apart=True,
            data="mnist-sample[:3]",
            batch_size=2,
            accelerate="off",
        ),
        AttackRow(name="DDN 100", attack="ddn(steps=2, levels=256)"),
    )
    given = {
        "name": "MNIST",
        "model": LINEAR,
        "data": "mnist-sample[:5]",
        "batch_size": 5,
        "accelerate": "off",
        "attacks": rows,
        "experiment": "table1",
    }
    return Setting.model_validate({**given, **values})


def one(*settings: Setting) -> Experiment:
    return experiment(settings=settings)
