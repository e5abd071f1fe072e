"""`accelerate`: the same classifier, faster; and attacks on it, that never claim what is not so."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attacks.cases import VARIANTS, attack_of
from attacks.networks import problem
from attacks.test_contract import Synchronisations
from minnorm.acceleration import Accelerated, accelerate, timing
from minnorm.attacks import Attack, ddn, fmn, normal_pursuit, with_bisection, worst_case
from minnorm.attacks.engine.search import Search
from minnorm.data import load_data
from minnorm.evaluation.judge import counting, run_and_judge
from minnorm.geometry import Norm, distances
from minnorm.logits import margins
from minnorm.models import Normalized, load_model
from minnorm.models.wide_resnet import WideResNet

WORDS = ("folded", "narrow", "channels-last", "autocast", "bfloat16")


class Residual(nn.Module):
    """Convolutions with batch norms in front, behind, and where nothing can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.before = nn.BatchNorm2d(8)
        self.body = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=2, bias=False)
        self.after = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)
        self.last = nn.BatchNorm1d(5)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.before(self.stem(inputs)))
        hidden = hidden + torch.relu(self.after(self.body(hidden)))
        result: Tensor = self.last(self.head(hidden.mean((2, 3))))
        return result


class Branching(Residual):
    """What it does depends on values, so that it cannot be traced as a whole."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs if inputs.mean() > 0 else -inputs)


def network(kind: Callable[[], nn.Module] = Residual, *, seed: int = 0) -> nn.Module:
    """Gives a network whose batch norms have seen some images."""
    torch.manual_seed(seed)
    model = kind()
    for _ in range(3):
        model(torch.rand(16, 3, 10, 10))
    return model.eval()


def example(samples: int = 8, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(samples, 3, 10, 10, generator=generator).to(dtype)


def batch_norms(model: object) -> int:
    assert isinstance(model, nn.Module)
    return sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())


@pytest.mark.parametrize("use", ["plain", *WORDS[:3], "folded+narrow+channels-last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_exact_classifier_computes_the_same(use: str, dtype: torch.dtype) -> None:
    model = network().to(dtype)
    fast = accelerate(model, example(dtype=dtype), use)
    assert (fast.used, fast.coarse) == (use, None)
    inputs = example(5, dtype)
    tolerance = 100 * torch.finfo(dtype).eps
    assert torch.allclose(fast(inputs), model(inputs), rtol=0, atol=tolerance)
    expected, found = (timing.gradients(one, inputs) for one in (model, fast))
    assert torch.allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("use", WORDS[3:])
def test_the_coarse_classifier_computes_nearly_the_same(use: str) -> None:
    model = network()
    fast = accelerate(model, example(), use)
    assert fast.coarse is not None
    inputs = example(5)
    logits = fast.coarse(inputs)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, model(inputs))
    assert torch.allclose(logits, model(inputs), rtol=0, atol=0.05)
    assert torch.equal(fast(inputs), model(inputs))


SEEN: list[tuple[torch.dtype, torch.dtype]] = []


class Seeing(nn.Conv2d):
    """A convolution that notes in which precision it computes; a copy notes it too."""

    def forward(self, inputs: Tensor) -> Tensor:
        result = super().forward(inputs)
        SEEN.append((inputs.dtype, result.dtype))
        return result


@pytest.mark.parametrize("use", WORDS[3:])
def test_the_first_layer_sees_the_inputs_as_they_are(use: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Seeing(3, 4, 3), nn.ReLU(), Seeing(4, 4, 3), nn.Flatten())
    model = Normalized(network, mean=[0.3, 0.4, 0.5], std=[0.2, 0.3, 0.4]).eval()
    fast = accelerate(model, example(), use)
    SEEN.clear()
    assert fast.coarse is not None
    logits = fast.coarse(example())
    assert [given for given, _ in SEEN] == [torch.float32, torch.bfloat16]
    assert [made for _, made in SEEN] == [torch.float32, torch.bfloat16]
    # The mean and the standard deviation are those of the original too.
    assert torch.allclose(logits, model(example()), rtol=0, atol=0.02)


@pytest.mark.parametrize("stride", [1, 2, (2, 3)])
@pytest.mark.parametrize("padding", [0, 1, (2, 1)])
@pytest.mark.parametrize("kernel", [1, 3, (5, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_of_narrow_convolutions(
    channels: int, kernel: int, padding: int, stride: int
) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(channels, 6, kernel, stride=stride, padding=padding)
    model = nn.Sequential(convolution, nn.Flatten(), nn.ReLU())
    inputs = torch.rand(4, channels, 9, 11)
    fast = accelerate(model.eval(), inputs, "narrow")
    assert fast.used == "narrow"
    expected, found = (timing.gradients(one, inputs) for one in (model, fast))
    assert expected.any()
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "left"), [(Residual, 0), (Branching, 3)])
def test_batch_norms_are_folded_where_that_can_be_seen(
    kind: Callable[[], nn.Module], left: int
) -> None:
    model = network(kind)
    fast = accelerate(model, example(), "folded" if left == 0 else "plain")
    assert batch_norms(fast.exact) == left
    assert batch_norms(model) == 3
    if left:
        with pytest.raises(ValueError, match="'folded' cannot be done with this model"):
            accelerate(model, example(), "folded")


def test_parts_that_can_be_traced_are_folded_in_what_cannot() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Residual()

        def forward(self, inputs: Tensor) -> Tensor:
            result: Tensor = self.inside(inputs if inputs.mean() > 0 else -inputs)
            return result

    assert batch_norms(accelerate(network(Around), example(), "folded").exact) == 0


def test_a_norm_in_front_of_a_convolution_stays() -> None:
    torch.manual_seed(0)
    model = WideResNet(10, 1, dropout=0.0).eval()
    fast = accelerate(model, torch.rand(4, 3, 32, 32), "folded")
    # The second norm of each of the three blocks follows a convolution; the first ones, and the
    # last one of all, follow what goes elsewhere too.
    assert (batch_norms(model), batch_norms(fast.exact)) == (7, 4)


@pytest.mark.parametrize("use", ["auto", "plain", "folded+narrow+channels-last+bfloat16"])
@pytest.mark.parametrize("training", [False, True])
def test_the_model_stays_as_it_is(use: str, *, training: bool) -> None:
    model = network().train(training)
    state = copy.deepcopy(model.state_dict())
    fast = accelerate(model, example(), use)
    fast(example())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.training == training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    if use != "auto":  # which leaves one so small as it is
        assert torch.allclose(fast(example()), network()(example()), atol=1e-4)


def test_auto_leaves_alone_what_is_fast() -> None:
    model, inputs, _ = problem((1, 4, 4))
    fast = accelerate(model, inputs)
    assert (fast.used, fast.exact, fast.coarse) == ("off", model, None)
    assert "nothing to gain" in fast.notes[0]


def test_auto_says_what_it_did_and_that_can_be_repeated() -> None:
    model = load_model("zoo:mnist-cnn")
    inputs, _ = load_data("mnist-sample[:64]").batch(range(64))
    fast = accelerate(model, inputs)
    assert fast.notes
    again = accelerate(model, inputs, fast.used)
    assert again.used == fast.used
    assert torch.equal(again(inputs), fast(inputs))
    if fast.coarse is not None:
        assert again.coarse is not None
        assert torch.equal(again.coarse(inputs), fast.coarse(inputs))


def test_a_function_is_called_as_it_is() -> None:
    def model(inputs: Tensor) -> Tensor:
        return inputs.flatten(1)[:, :5]

    fast = accelerate(model, example())
    assert (fast.used, fast.exact, fast.coarse) == ("off", model, None)
    assert "not a torch.nn.Module" in fast.notes[0]
    with pytest.raises(ValueError, match=r"'folded' cannot be done with this model here \(not a"):
        accelerate(model, example(), "folded")


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("fast", "expected 'auto', 'off'"),
        ("auto+folded", "expected 'auto', 'off'"),
        ("", "expected 'auto', 'off'"),
        ("autocast+bfloat16", "choose one of"),
        (None, "expected words"),
    ],
)
def test_words_that_there_are_not(use: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accelerate(network(), example(), use)


@pytest.mark.parametrize("use", ["auto", "off", "folded"])
@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        ("zoo:mnist-cnn", example(), "the model is a str"),
        (network(), example().numpy(), "the example is a ndarray"),
        (network(), example()[:0], r"has shape \[0, 3, 10, 10\]"),
        (network(), example().long(), "dtype torch.int64"),
        (network(), example() * torch.nan, "NaN or infinite"),
        (network(), example()[:, :1], "cannot take an example of shape"),
        (network(), example().double(), "cannot take an example of shape"),
        (lambda given: (given,), example(), "the model gave tuple"),
        (lambda given: given.sum((1, 2, 3)), example(), r"the model gave an output of shape \[1\]"),
    ],
)
def test_what_cannot_be_accelerated_is_told(
    use: str, model: nn.Module, inputs: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        accelerate(model, inputs, use)


@pytest.mark.parametrize("use", ["off", "plain"])
def test_a_model_in_training_mode_is_asked_in_evaluation_mode(use: str) -> None:
    model = network().train()
    fast = accelerate(model, example(), use)
    assert model.training
    assert torch.allclose(fast(example()), network()(example()), atol=1e-5)
    assert ddn(fast, example(), torch.zeros(8, dtype=torch.int64), steps=5).success.any()


def test_channels_last_is_of_images() -> None:
    model, inputs, _ = problem((12,))
    with pytest.raises(ValueError, match=r"samples of shape \[12\] are no images"):
        accelerate(model, inputs, "channels-last")


def test_one_slow_measurement_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([1.0, 1.0, 9.0, 1.0] + [1.0] * 20)
    monkeypatch.setattr(timing, "_seconds", lambda *_: next(taken))
    model = network()
    assert timing.compared_seconds((model, model), example()) == [1.0, 1.0]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_attack_is_verified_by_the_model_as_it_is(name: str, *, targeted: bool) -> None:
    attack = attack_of(name)
    model, inputs, labels = problem((1, 4, 4), batch=16)
    fast = accelerate(model, inputs, "bfloat16")
    wanted = (labels + 1) % 5 if targeted else labels
    found = attack(fast, inputs, wanted, targeted=targeted)
    with torch.no_grad():
        predicted = model(found.adversarials).argmax(1)
    assert torch.equal(found.success, (predicted == wanted) == targeted)
    norm: Norm = "linf" if name.endswith("linf") else "l2"
    measured = distances(found.adversarials, inputs, norm)
    assert torch.allclose(found.distances[found.success], measured[found.success], rtol=1e-6)
    expected = attack(model, inputs, wanted, targeted=targeted)
    assert found.success.sum() >= expected.success.sum() - 1


@pytest.mark.parametrize("attack", [ddn, fmn, normal_pursuit, worst_case([ddn, fmn])])
def test_distances_are_those_of_the_exact_run(attack: Attack) -> None:
    model = load_model("zoo:mnist-cnn")
    inputs, labels = load_data("mnist-sample[:20]").batch(range(20))
    fast = accelerate(model, inputs, "narrow+bfloat16")
    found = []
    for asked in (model, fast):
        verdict = run_and_judge(
            "it", attack, asked, inputs, labels, targeted=False, bounds=(0.0, 1.0), seed=0
        )
        assert verdict.success.all()
        found.append(verdict.distances["l2"])
    # A few images go another way, nearer or farther; one is misclassified to begin with.
    assert abs(float((found[1] / found[0]).nanmedian()) - 1) < 0.002
    assert abs(float(found[1].mean() / found[0].mean()) - 1) < 0.03


def test_the_coarse_classifier_is_asked_most_and_first_and_last_the_exact_one() -> None:
    model, inputs, labels = problem((1, 4, 4))
    asked: list[str] = []

    def watched(name: str) -> Callable[[Tensor], Tensor]:
        def classify(given: Tensor) -> Tensor:
            asked.append(name)
            logits: Tensor = model(given)
            return logits

        return classify

    fast = Accelerated(watched("original"), watched("exact"), watched("coarse"), "it", ())
    ddn(fast, inputs, labels, steps=100)
    assert asked[0] == "exact"
    assert asked[-1] == "original"
    assert asked[-21:-1] == ["exact"] * 20
    assert asked.count("coarse") >= 70
    assert asked.count("original") == 1


def test_a_coarse_classifier_that_lies_is_found_out() -> None:
    model, inputs, labels = problem((1, 4, 4))

    def lies(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits.roll(1, 1)  # everything is adversarial at once

    fast = Accelerated(model, model, lies, "it", ())
    for attack in (ddn, fmn, normal_pursuit):
        found = attack(fast, inputs, labels)
        with torch.no_grad():
            assert torch.equal(model(found.adversarials).argmax(1) != labels, found.success)
        assert found.distances[found.success].isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_coarse_classifier_that_is_wrong_near_the_boundary_loses_nothing(name: str) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=32)
    with torch.no_grad():
        early = 0.3 * margins(model(inputs), labels).median()

    def coarse(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits - early * nn.functional.one_hot(logits.argmax(1), 5)

    attack = attack_of(name)
    expected = attack(model, inputs, labels)
    found = attack(Accelerated(model, model, coarse, "it", ()), inputs, labels)
    assert found.success.sum() >= expected.success.sum()


def test_what_the_original_does_not_confirm_is_moved_outwards() -> None:
    model, inputs, labels = problem((1, 4, 4))

    def exact(given: Tensor) -> Tensor:
        logits: Tensor = model(given)  # adversarial a little before the original is
        return logits - 1e-4 * nn.functional.one_hot(labels, 5)

    fast = Accelerated(model, exact, None, "it", ())
    attack = with_bisection(ddn, bisections=25)
    claimed = attack(exact, inputs, labels)
    with torch.no_grad():
        assert not (model(claimed.adversarials).argmax(1) != labels).all()
    found = attack(fast, inputs, labels)
    with torch.no_grad():
        assert (model(found.adversarials).argmax(1) != labels).all()
    assert found.success.all()
    assert (found.distances <= claimed.distances * 1.002).all()


def test_all_parts_are_counted() -> None:
    model, inputs, labels = problem((1, 4, 4))
    fast = accelerate(model, inputs, "bfloat16")
    counted, counts = counting(fast)
    ddn(counted, inputs, labels, steps=100)
    assert sum(part.backwards for part in counts) == 100 * len(inputs)
    assert len(counts) == 3
    assert all(part.forwards > 0 for part in counts)


def test_an_attack_of_ones_own_gets_the_model_as_it_is() -> None:
    model, inputs, labels = problem((1, 4, 4))
    fast = accelerate(model, inputs, "bfloat16")
    seen: list[object] = []

    def own(model: Callable[[Tensor], Tensor], *given: Tensor, **named: object) -> object:
        seen.append(model)
        return ddn(model, *given, **named)  # type: ignore[arg-type]

    settings = {"targeted": False, "bounds": (0.0, 1.0), "seed": 0}
    for attack in (own, worst_case([own, fmn])):  # type: ignore[list-item]
        run_and_judge("own", attack, fast, inputs, labels, **settings)  # type: ignore[arg-type]
    assert len(seen) == 2
    assert not any(isinstance(one, Accelerated) for one in seen)


def test_progress_means_nothing_to_other_models(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, labels = problem((1, 4, 4))
    expected = ddn(model, inputs, labels)
    monkeypatch.setattr(Search, "progress", lambda *_: None)
    assert torch.equal(ddn(model, inputs, labels).adversarials, expected.adversarials)


class StraightThrough(Residual):
    """Rounds its inputs, and gives the gradient as if it did not."""

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            moved = (inputs * 7).round() / 7 - inputs
        return super().forward(inputs + moved)


def test_what_would_lose_its_gradients_is_not_folded() -> None:
    model = network(StraightThrough)
    expected = timing.gradients(model, example())
    assert expected.any()
    fast = accelerate(model, example())
    assert torch.allclose(timing.gradients(fast, example()), expected, atol=1e-5)
    with pytest.raises(ValueError, match="'folded' cannot be done with this model here"):
        accelerate(model, example(), "folded")


class Twice(Residual):
    """Uses one convolution twice, each time with another batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.BatchNorm2d(8)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.before(self.stem(inputs)))
        hidden = torch.relu(self.after(self.body(hidden)))
        hidden = torch.relu(self.again(self.body(hidden)))
        result: Tensor = self.last(self.head(hidden.mean((2, 3))))
        return result


class ActingNorm(nn.BatchNorm2d):
    """A batch norm that does something else too."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        return torch.relu(super().forward(input))


class Acting(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.after = ActingNorm(8)


class Plain(Residual):
    """Its last batch norm has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.BatchNorm1d(5, affine=False)


class Unmeasured(Residual):
    """Its last batch norm keeps no statistics, and none is needed of the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(8, track_running_stats=False)


@pytest.mark.parametrize(("kind", "left"), [(Twice, 2), (Acting, 1), (Plain, 1), (Unmeasured, 1)])
def test_a_layer_that_is_not_known_is_left_alone_and_others_are_folded(
    kind: Callable[[], nn.Module], left: int
) -> None:
    model = network(kind)
    fast = accelerate(model, example(), "folded")
    assert batch_norms(fast.exact) == left
    assert torch.allclose(fast(example()), model(example()), atol=1e-5)


def test_hooks_of_layers_are_kept() -> None:
    model = network()
    for layer in (model.get_submodule("stem"), model.get_submodule("body")):
        layer.register_forward_hook(lambda _, __, result: result.clamp(-0.1, 0.1))
    fast = accelerate(model, example(), "folded+narrow")
    assert batch_norms(fast.exact) == 2
    assert torch.allclose(fast(example()), model(example()), atol=1e-5)


def test_what_another_part_reads_of_a_narrow_convolution_is_there() -> None:
    class Reads(Residual):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) + self.stem.weight.sum() + self.stem.stride[0]

    model = network(Reads)
    fast = accelerate(model, example(), "narrow")
    assert torch.equal(fast(example()), model(example()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_is_in_half_precision_stays_as_it_is(dtype: torch.dtype) -> None:
    model = network().to(dtype)
    fast = accelerate(model, example(dtype=dtype))
    assert (fast.used, fast.exact) == ("off", model)
    assert "on the boundary no copy would agree" in fast.notes[0]


def test_an_accelerated_model_is_not_accelerated_twice() -> None:
    model = network()
    once = accelerate(model, example(), "folded+bfloat16")
    twice = accelerate(once, example(), "narrow")
    assert twice.original is model
    assert twice.used == "narrow"


class Learns(Residual):
    """Takes gradients with respect to its own weights, which a frozen copy does not have."""

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.enable_grad():
            torch.autograd.grad(self.stem(inputs.detach()).sum(), self.stem.weight)
        return super().forward(inputs)


def test_what_fails_as_a_copy_is_left_alone_unless_asked_for() -> None:
    model = network(Learns)
    fast = accelerate(model, example())
    assert (fast.used, fast.exact, fast.original) == ("off", model, model)
    assert "its copy fails: RuntimeError" in fast.notes[0]
    with pytest.raises(ValueError, match=r"'folded' cannot be done with this model here \(Runtime"):
        accelerate(model, example(), "folded")


@pytest.mark.slow
def test_it_can_be_compiled() -> None:
    model = network()
    fast = accelerate(model, example(), "folded+compiled")
    assert fast.used == "folded+compiled"
    for samples in (8, 3):
        inputs = example(samples)
        assert torch.allclose(fast(inputs), model(inputs), atol=1e-5)
    expected = ddn(model, example(), model(example()).argmax(1), steps=10)
    found = ddn(fast, example(), model(example()).argmax(1), steps=10)
    torch.testing.assert_close(found.distances, expected.distances, rtol=1e-3, atol=1e-5)


def test_what_cannot_be_compiled_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object, **__: object) -> Callable[[Tensor], Tensor]:
        def classify(_: Tensor) -> Tensor:
            raise RuntimeError("no compiler")

        return classify

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.raises(ValueError, match=r"'compiled' cannot be done .* no compiler"):
        accelerate(network(), example(), "compiled")


def test_an_input_on_the_boundary_is_no_failure() -> None:
    model, inputs, labels = problem((1, 4, 4))
    with torch.no_grad():
        logits = model(inputs)
    ties = labels.clone()
    others = logits.scatter(1, ties[:, None], -torch.inf).amax(1)
    gaps = logits.gather(1, ties[:, None]).squeeze(1) - others

    def tied(given: Tensor) -> Tensor:  # the original: right by very little
        lowered: Tensor = (gaps - 1e-5)[:, None] * nn.functional.one_hot(ties, 5)
        logits: Tensor = model(given)
        return logits - lowered

    def rounded(given: Tensor) -> Tensor:  # the copy: wrong by as little
        lowered: Tensor = (gaps + 1e-5)[:, None] * nn.functional.one_hot(ties, 5)
        logits: Tensor = model(given)
        return logits - lowered

    fast = Accelerated(tied, rounded, None, "it", ())
    found = ddn(fast, inputs, labels)
    assert found.success.all()
    assert (found.distances < 0.01).all()
    with torch.no_grad():
        assert (tied(found.adversarials).argmax(1) != labels).all()


def test_on_a_grid_what_is_not_confirmed_moves_by_a_level() -> None:
    model, inputs, labels = problem((1, 4, 4))
    inputs = (inputs * 255).round() / 255

    def exact(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits - 0.003 * nn.functional.one_hot(labels, 5)

    fast = Accelerated(model, exact, None, "it", ())
    found = ddn(fast, inputs, labels, levels=256)
    claimed = ddn(exact, inputs, labels, levels=256)
    with torch.no_grad():
        assert (model(claimed.adversarials).argmax(1) == labels).any()
        assert (model(found.adversarials).argmax(1) != labels).all()
    assert found.success.all()
    assert torch.allclose(found.adversarials * 255, (found.adversarials * 255).round(), atol=1e-4)


def test_measuring_begins_with_one_sample_and_stops_where_memory_ends() -> None:
    asked: list[int] = []

    class Large(Residual):
        def forward(self, inputs: Tensor) -> Tensor:
            asked.append(len(inputs))
            if len(inputs) > 16:
                raise torch.OutOfMemoryError("out of memory")
            return super().forward(inputs)

    torch.manual_seed(0)
    fast = accelerate(Large().eval(), example(64), "channels-last")
    assert fast.used == "channels-last"
    assert asked[0] == 1
    assert set(asked) == {1, 4, 16, 64}


@pytest.mark.parametrize("attack", [ddn, fmn])
def test_attacks_on_it_seldom_wait_for_the_device(attack: Callable[..., object]) -> None:
    model, inputs, labels = problem((1, 4, 4))
    other = nn.Sequential(model).eval()
    fast = Accelerated(nn.Sequential(model).eval(), other, model, "it", ())
    counts = []
    for steps in (10, 200):
        with Synchronisations() as seen:
            attack(fast, inputs, labels, steps=steps)
        counts.append(seen.count)
    assert counts[1] <= counts[0]
