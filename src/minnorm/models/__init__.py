"""Classifiers: the paper's networks, models named by a spec, and the zoo of trained networks."""

from minnorm.models.architectures import ARCHITECTURES, build, network_of
from minnorm.models.averaged import Averaged, averaged
from minnorm.models.binary import Binary, binary
from minnorm.models.export import Export, export_model
from minnorm.models.load import MODEL_FORMS, load_model
from minnorm.models.normalized import Normalized
from minnorm.models.over_http import HttpModel, over_http
from minnorm.models.predict_only import PredictOnly, predict_only
from minnorm.models.scikit_learn import Estimator, from_estimator
from minnorm.models.small_cnn import SmallCNN, cifar10_cnn, mnist_cnn
from minnorm.models.straight_through import StraightThrough, straight_through
from minnorm.models.weights import fingerprint, load_weights, save_weights
from minnorm.models.wide_resnet import WideResNet, wide_resnet
from minnorm.models.zoo import Card, load_zoo, read_card, zoo_cards, zoo_folder, zoo_names

__all__ = [
    "ARCHITECTURES",
    "MODEL_FORMS",
    "Averaged",
    "Binary",
    "Card",
    "Estimator",
    "Export",
    "HttpModel",
    "Normalized",
    "PredictOnly",
    "SmallCNN",
    "StraightThrough",
    "WideResNet",
    "averaged",
    "binary",
    "build",
    "cifar10_cnn",
    "export_model",
    "fingerprint",
    "from_estimator",
    "load_model",
    "load_weights",
    "load_zoo",
    "mnist_cnn",
    "network_of",
    "over_http",
    "predict_only",
    "read_card",
    "save_weights",
    "straight_through",
    "wide_resnet",
    "zoo_cards",
    "zoo_folder",
    "zoo_names",
]


def __dir__() -> list[str]:
    return __all__
