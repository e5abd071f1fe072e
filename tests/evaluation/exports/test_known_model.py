"""The model of a run: loaded without running code that a file names, and only if it is the same."""

from pathlib import Path

import pytest

from evaluation.small_runs import MODEL, configuration
from evaluation.tiny_models import Centered
from minnorm.errors import InputError
from minnorm.evaluation.exports.known_model import load_known_model
from minnorm.models import Normalized, build, fingerprint, load_model, save_weights

ZOO = "zoo:mnist-cnn"


@pytest.mark.parametrize("given", [None, ZOO])
def test_a_shipped_network_is_loaded(given: str | None) -> None:
    run = configuration(model=ZOO, model_fingerprint=fingerprint(load_model(ZOO)))
    found = load_known_model(run, given, device="cpu")
    assert fingerprint(found.model) == run.model_fingerprint
    assert found.reason == ""


def test_weight_files_that_name_their_network_are_loaded(tmp_path: Path) -> None:
    network = build("mnist_cnn")
    path = tmp_path / "own.safetensors"
    save_weights(network, "mnist_cnn", path)
    for spec in (str(path), f"{path} + mnist_cnn"):
        run = configuration(model=spec, model_fingerprint=fingerprint(load_model(spec)))
        assert load_known_model(run, device="cpu").model is not None


@pytest.mark.parametrize(
    "spec",
    [
        MODEL,
        "os:getcwd",
        "timm:hf-hub:somebody/something",
        "timm:resnet18(checkpoint_path=evil.pt)",
        "weights.pt + os:getcwd",
        "a b:(",
    ],
)
def test_words_of_a_file_run_no_code(spec: str) -> None:
    found = load_known_model(configuration(model=spec))
    assert found.model is None
    assert found.reason.startswith(f"the model of the run, {spec!r}, may run code: name the model")


@pytest.mark.parametrize("trust", [False, True])
def test_a_model_that_was_given_as_an_object_cannot_be_loaded_again(trust: bool) -> None:
    run = configuration(model="Centered", model_fingerprint=fingerprint(load_model(MODEL)))
    found = load_known_model(run, trust=trust)
    assert found.model is None
    assert "the model of the run, Centered, was given as a Python object" in found.reason
    assert load_known_model(run, Centered().eval()).model is not None
    assert load_known_model(run, MODEL, device="cpu").model is not None


def test_words_of_a_file_run_code_that_is_trusted_or_repeated_by_the_user() -> None:
    run = configuration(model=MODEL, model_fingerprint=fingerprint(load_model(MODEL)))
    assert load_known_model(run, trust=True, device="cpu").model is not None
    assert load_known_model(run, MODEL, device="cpu").model is not None
    assert load_known_model(run, Centered().eval()).model is not None


def test_a_model_that_is_gone_is_a_reason_unless_the_user_names_it(tmp_path: Path) -> None:
    spec = str(tmp_path / "gone.safetensors")
    found = load_known_model(configuration(model=spec))
    assert found.model is None
    assert "cannot be loaded (there is no file" in found.reason
    with pytest.raises(InputError, match="there is no file"):
        load_known_model(configuration(), spec)


def test_another_model_is_refused() -> None:
    run = configuration(model=MODEL, model_fingerprint=fingerprint(load_model(MODEL)))
    with pytest.raises(InputError, match=f"the model '{ZOO}' is not the one that the run attacked"):
        load_known_model(run, ZOO, device="cpu")
    other = Normalized(Centered(), 0.5, 0.5).eval()
    with pytest.raises(InputError, match="is not the one that the run attacked"):
        load_known_model(run, other)
    stale = configuration(model=ZOO)
    with pytest.raises(InputError, match=f"the model '{ZOO}' is not the one"):
        load_known_model(stale, device="cpu")


def test_a_model_behind_http_is_not_called_unless_it_is_named() -> None:
    found = load_known_model(configuration(model="http://host/predict"), trust=True)
    assert found.model is None
    assert found.reason.startswith("the model of the run is behind HTTP, at http://host/predict: ")
