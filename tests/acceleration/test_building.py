"""The exact and the coarse classifier: what is measured on, what is used, and why."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from acceleration.small_networks import Branching, Residual, batch_norms, example, network
from minnorm.acceleration import Accelerated, building, choice, low_precision, timing
from minnorm.acceleration.building import build_accelerated, unchanged
from minnorm.acceleration.choice import Choice
from minnorm.acceleration.layout import channels_last
from minnorm.acceleration.low_precision import autocast, in_bfloat16
from minnorm.acceleration.narrow import NarrowConvolution
from minnorm.errors import InputError, OutOfMemoryError
from minnorm.logits import Model

KINDS = ("plain", "narrow", "channels-last", "autocast", "bfloat16")


def _build(model: Model, words: list[str] | None) -> Accelerated:
    with torch.no_grad():
        return build_accelerated(model, example(), words)


class Named:
    """A classifier with the name of the technique that made it."""

    def __init__(self, name: str, model: Model) -> None:
        self.name = name
        self.model = model

    def __call__(self, inputs: Tensor, /) -> Tensor:
        return self.model(inputs)


def _kind(model: Model) -> str:
    """Return which of the candidates a classifier is."""
    if isinstance(model, nn.Module):
        narrow = any(isinstance(part, NarrowConvolution) for part in model.modules())
        return "narrow" if narrow else "plain"
    assert isinstance(model, Named)
    return model.name


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each technique that does not make a module name the classifier that it makes."""

    def naming(name: str, technique: Callable[..., Model]) -> Callable[..., Model]:
        return lambda *arguments: Named(name, technique(*arguments))

    monkeypatch.setattr(building, "channels_last", naming("channels-last", channels_last))
    monkeypatch.setattr(low_precision, "autocast", naming("autocast", autocast))
    monkeypatch.setattr(low_precision, "in_bfloat16", naming("bfloat16", in_bfloat16))


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch, named: None) -> dict[str, float]:  # noqa: ARG001
    """The seconds of a gradient of each candidate; a test changes them."""
    seconds = dict.fromkeys(KINDS, 1.0)
    monkeypatch.setattr(timing, "_seconds", lambda model, _: seconds[_kind(model)])
    return seconds


@pytest.mark.parametrize(
    ("changed", "used"),
    [
        ({}, "folded"),
        ({"narrow": 0.5}, "folded+narrow"),
        ({"channels-last": 0.5}, "folded+channels-last"),
        ({"autocast": 0.5}, "folded+autocast"),
        ({"bfloat16": 0.5}, "folded+bfloat16"),
        ({"autocast": 0.4, "bfloat16": 0.5}, "folded+autocast"),
        (
            {"narrow": 0.9, "channels-last": 0.8, "autocast": 0.6, "bfloat16": 0.5},
            "folded+narrow+channels-last+bfloat16",
        ),
        # The least gains: 2 % for an exact classifier, 20 % for a coarse one.
        ({"narrow": 1 / 1.021}, "folded+narrow"),
        ({"narrow": 1 / 1.019}, "folded"),
        ({"channels-last": 1 / 1.021}, "folded+channels-last"),
        ({"channels-last": 1 / 1.019}, "folded"),
        ({"bfloat16": 1 / 1.21}, "folded+bfloat16"),
        ({"bfloat16": 1 / 1.19}, "folded"),
        # A coarse classifier is compared with the exact one, not with the model.
        ({"narrow": 0.5, "bfloat16": 0.45}, "folded+narrow"),
    ],
)
def test_what_is_fast_enough_is_used(
    times: dict[str, float], changed: dict[str, float], used: str
) -> None:
    times.update(changed)
    fast = _build(network(), None)
    assert fast.used == used
    assert (fast.coarse is not None) == ("autocast" in used or "bfloat16" in used)


def test_the_notes_say_why(times: dict[str, float]) -> None:
    times.update({"narrow": 0.5, "autocast": 0.3, "bfloat16": 0.2})
    notes = _build(network(), None).notes
    assert notes[:4] == (
        "folded: yes (batch norms are part of the layers before them)",
        "narrow: yes (2.00 times as fast)",
        "channels-last: no (0.50 times as fast)",
        "autocast: no (it takes 1.50 times as long as bfloat16)",
    )
    assert notes[4].startswith("bfloat16: yes (2.50 times as fast, its gradients have a median cos")
    assert len(notes) == 5


@pytest.mark.parametrize(("cosine", "accepted"), [(0.91, True), (0.89, False)])
@pytest.mark.parametrize("words", [None, ["bfloat16"]])
def test_gradients_of_a_coarse_classifier_must_be_good_enough(
    times: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str] | None,
    cosine: float,
    accepted: bool,
) -> None:
    times["bfloat16"] = 0.1
    monkeypatch.setattr(building, "median_cosine", lambda *_: cosine)
    if accepted or words is None:
        fast = _build(network(), words)
        assert (fast.coarse is not None) == ("bfloat16" in fast.used) == accepted
        assert f"a median cosine of {cosine:.3f} with the exact ones" in fast.notes[-1]
    else:
        with pytest.raises(InputError, match=r"cannot use 'bfloat16' .*a median cosine of 0.890"):
            _build(network(), words)


class NeedsFloat32(Residual):
    """A network that fails in another precision."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.before(self.stem(inputs)))
        if hidden.dtype != torch.float32:
            raise TypeError("only float32")
        result: Tensor = self.last(self.head(hidden.mean((2, 3))))
        return result


def test_a_technique_that_fails_is_not_used(times: dict[str, float]) -> None:
    times["narrow"] = 0.5
    fast = _build(network(NeedsFloat32), None)
    assert (fast.used, fast.coarse) == ("narrow", None)
    assert fast.notes[-2:] == ("autocast: no (it fails)", "bfloat16: no (it fails)")
    with pytest.raises(InputError, match=r"cannot use 'autocast' with this model \(it fails\)"):
        _build(network(NeedsFloat32), ["autocast"])


def test_a_fast_model_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    for seconds, gain in ((0.0019, False), (0.0021, True)):
        monkeypatch.setattr(timing, "_seconds", lambda *_, seconds=seconds: seconds)
        fast = _build(model, None)
        assert (fast.used != "off") == (fast.exact is not model) == gain
        if not gain:
            assert fast.notes == (
                "the model is used as it is: a gradient of 8 samples takes 1.9 ms, so there is "
                "nothing to gain",
            )
    monkeypatch.setattr(timing, "_seconds", lambda *_: 0.001)
    assert _build(model, ["narrow"]).used == "narrow"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_is_used_as_it_is(dtype: torch.dtype) -> None:
    model = network().to(dtype)
    with torch.no_grad():
        fast = build_accelerated(model, example(dtype=dtype), None)
    assert (fast.used, fast.exact) == ("off", model)
    assert f"its logits are {dtype}, so near the decision boundary no copy" in fast.notes[0]


def test_in_float64_there_is_no_coarse_classifier(times: dict[str, float]) -> None:
    times["narrow"] = 0.5
    model = network().double()
    with torch.no_grad():
        fast = build_accelerated(model, example(dtype=torch.float64), None)
        assert fast.used == "folded+narrow"
        why = "the inputs are torch.float64, not torch.float32"
        assert fast.notes[-2:] == (f"autocast: no ({why})", f"bfloat16: no ({why})")
        with pytest.raises(InputError, match=f"cannot use 'bfloat16' with this model .{why}"):
            build_accelerated(model, example(dtype=torch.float64), ["bfloat16"])


@pytest.mark.parametrize(
    ("kind", "words", "reason"),
    [
        (Branching, ["folded"], "no batch norm can be folded"),
        (nn.Flatten, ["plain", "narrow"], "no suitable convolution with few input channels"),
        (lambda: abs, ["folded"], "it is not a torch.nn.Module"),
    ],
)
def test_a_requested_technique_that_cannot_be_used_is_an_error(
    kind: Callable[[], Model], words: list[str], reason: str
) -> None:
    model = kind()
    model = model.eval() if isinstance(model, nn.Module) else model
    advice = r"leave it out, or use 'auto'\."
    message = rf"^accelerate: cannot use '{words[-1]}' with this model \({reason}\): {advice}$"
    with pytest.raises(InputError, match=message):
        _build(model, words)


def test_channels_last_is_for_images() -> None:
    model = nn.Linear(12, 3).eval()
    inputs = torch.rand(4, 12)
    with torch.no_grad():
        with pytest.raises(InputError, match=r"samples of shape \[12\] are not images"):
            build_accelerated(model, inputs, ["channels-last"])
        assert building._laid_out(model, Choice(inputs, None)) == (model, False)


class Changing(Residual):
    """A network whose copy computes something else."""

    def __deepcopy__(self, memo: object) -> nn.Module:
        return network(seed=1)


@pytest.mark.parametrize("words", [None, ["plain"]])
def test_a_copy_that_computes_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, words: list[str] | None
) -> None:
    monkeypatch.setattr(timing, "_seconds", lambda *_: 1.0)
    with pytest.raises(InputError, match="the fast copy has other logits or gradients"):
        _build(network(Changing), words)


class Uncopied(Residual):
    """A network that cannot be copied."""

    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("no copies")


def test_without_a_copy_the_model_itself_is_called() -> None:
    model = network(Uncopied)
    fast = _build(model, None)
    assert (fast.used, fast.exact, fast.coarse) == ("off", model, None)
    reason = "it cannot be copied (TypeError: no copies)"
    assert fast.notes == (f"the model is used as it is: {reason}",)
    fast = _build(model, ["plain"])
    assert (fast.used, fast.exact, fast.coarse) == ("plain", model, None)
    assert fast.notes == ("plain: the model as it is, as requested",)


def test_the_parameters_of_the_copy_are_frozen() -> None:
    model = network()
    fast = _build(model, ["plain"])
    assert isinstance(fast.exact, nn.Module)
    assert not any(parameter.requires_grad for parameter in fast.exact.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert fast.notes == ("plain: a copy with frozen parameters, as requested",)


def test_the_coarse_classifier_does_not_change_the_exact_one() -> None:
    model = network()
    fast = _build(model, ["folded", "bfloat16"])
    assert fast.coarse is not None
    assert batch_norms(fast.exact) == 0
    assert isinstance(fast.exact, nn.Module)
    assert {weights.dtype for weights in fast.exact.parameters()} == {torch.float32}
    assert not torch.equal(fast.coarse(example()), fast(example()))


def test_the_coarse_classifier_has_the_layout_of_the_exact_one() -> None:
    seen: list[bool] = []

    class Seeing(nn.Conv2d):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs.is_contiguous(memory_format=torch.channels_last))
            return super().forward(inputs)

    torch.manual_seed(0)
    model = nn.Sequential(Seeing(3, 4, 3), nn.Flatten()).eval()
    for words, expected in ((["bfloat16"], [False]), (["channels-last", "bfloat16"], [True])):
        fast = _build(model, words)
        assert fast.coarse is not None
        seen.clear()
        fast.coarse(example())
        assert seen == expected


def test_the_time_of_a_quick_gradient_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "gradient_seconds", lambda *_: 0.01)
    for first, expected in ((0.099, 0.01), (0.1, 0.1)):
        monkeypatch.setattr(building, "measurable", lambda _, part, taken=first: (part, taken))
        _, seconds = building._example_and_seconds(network(), example(), None)
        assert seconds == expected


class Counted(Residual):
    """A network that counts the samples that pass through it and its copies."""

    samples = 0

    def forward(self, inputs: Tensor) -> Tensor:
        Counted.samples += len(inputs)
        return super().forward(inputs)


@pytest.mark.parametrize("samples", [8, 64])
def test_measuring_takes_no_more_gradients_than_promised(
    monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    monkeypatch.setattr(building, "_SHORTEST", 0.0)
    model = network(Counted)
    # Tracing replaces the function that counts, so the model is not folded as a whole.
    monkeypatch.setattr(building, "fold_batch_norms", lambda *_: None)
    monkeypatch.setattr(Counted, "samples", 0)
    with torch.no_grad():
        fast = build_accelerated(model, example(samples), None)
    assert fast.used != "off"
    assert 0.5 * building.GRADIENTS_TO_CHOOSE * samples < Counted.samples
    assert Counted.samples <= building.GRADIENTS_TO_CHOOSE * samples


@pytest.mark.parametrize("words", ["plain", "narrow", "channels-last", "narrow+bfloat16"])
def test_requested_techniques_are_checked_on_few_samples_and_not_measured(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def compared(*_: object) -> list[float]:
        raise AssertionError("nothing is compared")

    monkeypatch.setattr(choice, "compared_seconds", compared)
    model = network(Counted)
    monkeypatch.setattr(Counted, "samples", 0)
    with torch.no_grad():
        fast = build_accelerated(model, example(64), words.split("+"))
    assert fast.used == words
    assert Counted.samples <= building._GRADIENTS_TO_BUILD


def test_the_time_to_prepare_grows_with_the_gradient_and_the_modules() -> None:
    model = network()
    modules = len(list(model.modules()))
    assert building.seconds_to_choose(model, 2.0) == pytest.approx(2 * 72 + 0.001 * modules)
    assert building.seconds_to_build(model, 2.0) == pytest.approx(2 * 128 + 0.001 * modules)
    assert building.seconds_to_choose(abs, 1.0) == 72


def test_not_even_one_sample_fits() -> None:
    class Large(Residual):
        def forward(self, inputs: Tensor) -> Tensor:
            raise torch.OutOfMemoryError(f"{len(inputs)}")

    with pytest.raises(OutOfMemoryError, match="not enough memory for a gradient of a single samp"):
        _build(Large().eval(), ["plain"])


def test_an_unchanged_model_is_its_own_exact_classifier() -> None:
    fast = unchanged(abs, "because")
    assert fast == Accelerated(abs, abs, None, "off", ("the model is used as it is: because",))


def test_a_model_that_cannot_be_compiled_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object, **__: object) -> Model:
        def classify(_: Tensor) -> Tensor:
            raise RuntimeError("no compiler")

        return classify

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.raises(RuntimeError, match="no compiler"):
        _build(network(), ["compiled"])


@pytest.mark.usefixtures("named")
def test_both_classifiers_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Model] = []

    def keep(model: Model, *, dynamic: bool) -> Model:
        assert dynamic
        compiled.append(model)
        return model

    monkeypatch.setattr(torch, "compile", keep)
    fast = _build(network(), ["compiled", "bfloat16"])
    assert fast.used == "bfloat16+compiled"
    assert fast.notes[-1] == "compiled: yes (as requested)"
    assert [_kind(model) for model in compiled] == ["plain", "bfloat16"]
    assert _build(network(), ["compiled"]).coarse is None
