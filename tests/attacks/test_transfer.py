import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import minnorm
from attacks.networks import Curved, Linear, problem
from minnorm.attacks import (
    attack_fingerprint,
    attack_name,
    decision_pursuit,
    load_attack,
    transfer,
)
from minnorm.attacks.composition import access_needed
from minnorm.errors import InputError, NotTrustedError, RunConflictError
from minnorm.evaluation.preparation.work import expected_gradients
from minnorm.evaluation.running.judge import CountingModel
from minnorm.models import save_weights

CLASSES = 5


def near_copy(model: Linear, noise: float, seed: int = 7) -> Linear:
    """Return a surrogate: the model with noise on its weights."""
    features = model.weight.shape[1]
    copy = Curved(features, CLASSES).to(model.weight.dtype)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(CLASSES, features, generator=generator).to(model.weight.dtype)
    weight = model.weight.detach() + noise * drawn * model.weight.detach().std()
    copy.weight.data.copy_(weight)
    copy.bias.data.copy_(-weight.sum(1) / 2)
    return copy.eval()


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("targeted", [False, True])
def test_the_model_itself_as_surrogate_ends_at_the_boundary(norm: Any, targeted: bool) -> None:
    model, inputs, labels = problem((30,), dtype=torch.float64)
    labels = (labels + 1) % CLASSES if targeted else labels
    found = transfer(
        model, inputs, labels, surrogates=model, targeted=targeted, norm=norm, refine=False
    )
    closest = partial(minnorm.attacks.fmn, norm="linf") if norm == "linf" else minnorm.attack
    best = closest(model, inputs, labels, targeted=targeted).distances
    assert (found.distances <= 1.05 * best).all()


def test_a_similar_surrogate_saves_queries() -> None:
    model, inputs, labels = problem((1, 12, 12))
    surrogate = near_copy(model, 0.3)
    alone = decision_pursuit(model, inputs, labels, budget=60)
    started = transfer(model, inputs, labels, surrogates=surrogate, budget=60)
    assert started.distances.median() < 0.7 * alone.distances.median()


def test_an_ensemble_is_closer_than_its_members() -> None:
    model, inputs, labels = problem((1, 8, 8), batch=20)
    members = [near_copy(model, 0.7, seed) for seed in range(3)]
    run = partial(transfer, model, inputs, labels, refine=False)
    single = torch.stack([run(surrogates=one).distances for one in members])
    assert run(surrogates=members).distances.median() < single.median(1).values.min()


def test_a_useless_surrogate_does_little_harm() -> None:
    model, inputs, labels = problem((1, 6, 6))
    other = Curved(36, CLASSES, seed=99).eval()
    alone = decision_pursuit(model, inputs, labels, budget=200)
    started = transfer(model, inputs, labels, surrogates=other, budget=200)
    assert started.distances.median() < 1.1 * alone.distances.median()


def test_without_refinement_it_needs_few_queries_and_no_gradient_of_the_target() -> None:
    model, inputs, labels = problem((20,))
    counted = CountingModel(model)
    surrogates = [near_copy(model, 0.2), near_copy(model, 0.2, 8)]
    transfer(counted, inputs, labels, surrogates=surrogates, refine=False)
    assert counted.backwards == 0
    assert counted.forwards <= len(inputs) * (2 * 4 * 3 + 15)


def test_starts_are_tried() -> None:
    model, inputs, labels = problem((20,))
    starts = minnorm.attack(model, inputs, labels).adversarials
    other = Linear(20, CLASSES, seed=5).eval()
    found = transfer(model, inputs, labels, surrogates=other, starts=starts, budget=10)
    distances = (starts - inputs).flatten(1).norm(dim=1)
    assert (found.distances <= 1.0001 * distances).all()


def test_surrogates_in_another_dtype_and_with_more_classes_are_used() -> None:
    model, inputs, labels = problem((20,), dtype=torch.float64)
    surrogate = nn.Sequential(near_copy(model, 0.1).float(), nn.ZeroPad1d((0, 3))).eval()
    found = transfer(model, inputs, labels, surrogates=surrogate, refine=False)
    assert found.success.all()
    assert found.adversarials.dtype == torch.float64


def test_surrogates_that_cannot_be_used_are_refused() -> None:
    model, inputs, labels = problem((20,))
    run = partial(inspect.unwrap(transfer), model, inputs, labels)
    few = Linear(20, 3).eval()
    wrong: list[tuple[Any, str]] = [
        (few, "has 3 classes, and the model under attack 5"),
        ("zoo:mnist-cnn", "expected models. Load it with minnorm.load_model"),
        ([], "at least one model"),
        (3, "a int is no model"),
        (
            minnorm.models.predict_only(lambda x: x, classes=20),
            "a surrogate of transfer needs grad",
        ),
        (nn.Sequential(nn.Dropout(), nn.Linear(20, CLASSES)).train(), "in training mode"),
    ]
    for surrogates, message in wrong:
        with pytest.raises(InputError, match=message):
            run(surrogates=surrogates)
    with pytest.raises(InputError, match="budget"):
        run(surrogates=model, budget=2)


SPEC = "transfer(surrogates=['zoo:mnist-cnn-ddn', 'zoo:mnist-cnn-fgsm'], budget=30)"


def test_a_spec_names_surrogates_which_are_loaded_when_they_are_needed() -> None:
    attack = load_attack(SPEC)
    assert attack_name(attack) == SPEC
    assert (
        attack_name(
            load_attack(
                "transfer(surrogate=zoo:mnist-cnn)".replace("zoo", "'zoo", 1).replace(
                    "cnn)", "cnn')"
                )
            )
        )
        == "transfer(surrogates='zoo:mnist-cnn')"
    )
    assert access_needed(attack) == "decisions"
    assert expected_gradients(attack) == 30
    later = load_attack("transfer(surrogates='missing.safetensors')")
    with pytest.raises(InputError, match=r"no file missing\.safetensors"):
        attack_fingerprint(later)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("surrogates=3", "expected specs of models"),
        ("surrogates=[]", "expected specs of models"),
        ("budget=3", "requires surrogates"),
        (
            "surrogates='https://u:secret@host/x(classes=3)'",
            r"surrogate https://host/x has no grad",
        ),
    ],
)
def test_wrong_words_are_refused(words: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_attack(f"transfer({words})")
    assert "secret" not in str(error.value)


def test_surrogates_of_a_spec_from_a_file_name_no_code() -> None:
    spec = "transfer(surrogates='somewhere:factory')"
    with pytest.raises(NotTrustedError, match="names code"):
        load_attack(spec)
    with pytest.raises(NotTrustedError, match="names code"):
        load_attack(f'worst_case(attacks=["{spec}"])')
    assert attack_name(load_attack(spec, trust=True)) == spec


def test_a_surrogate_whose_file_runs_code_needs_trust(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(Linear(20, CLASSES).eval(), path)
    model, inputs, labels = problem((20,))
    data, spec = (inputs.numpy(), labels.numpy()), f"transfer(surrogates='{path}', budget=20)"
    with pytest.raises(NotTrustedError):
        minnorm.evaluate(model, data, spec)
    assert len(minnorm.evaluate(model, data, spec, trust=True).records) == len(inputs)


def test_the_fingerprint_is_that_of_weights_and_code() -> None:
    one, same, other = (Linear(20, CLASSES, seed=seed).eval() for seed in (1, 1, 2))
    prints = [attack_fingerprint(partial(transfer, surrogates=[net])) for net in (one, same, other)]
    assert prints[0] == prints[1] != prints[2]
    assert attack_name(partial(transfer, surrogates=[one])) == "transfer(surrogates=['Linear'])"
    by_spec = [
        attack_fingerprint(load_attack(f"transfer(surrogates='zoo:{name}')"))
        for name in ("mnist-cnn", "mnist-cnn", "mnist-cnn-ddn")
    ]
    assert by_spec[0] == by_spec[1] != by_spec[2]


def test_a_run_with_another_surrogate_of_the_same_name_does_not_continue(tmp_path: Path) -> None:
    model, inputs, labels = problem((1, 28, 28))
    data, path = (inputs.numpy(), labels.numpy()), tmp_path / "net.safetensors"
    spec, out = f"transfer(surrogates='{path}', budget=20)", tmp_path / "run"
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_weights(minnorm.models.build("mnist_cnn"), "mnist_cnn", path)
        if seed == 0:
            minnorm.evaluate(model, data, spec, out=out)
            minnorm.evaluate(model, data, spec, out=out)
    with pytest.raises(RunConflictError, match=r"the code of transfer.* differs, or what it uses"):
        minnorm.evaluate(model, data, spec, out=out)


def test_records_count_the_queries_of_the_target_alone() -> None:
    model, inputs, labels = problem((20,))
    attack = partial(transfer, surrogates=[near_copy(model, 0.2)], budget=40)
    records = minnorm.evaluate(model, (inputs.numpy(), labels.numpy()), attack).records
    assert max(records.column("forwards").to_pylist()) <= 40
    assert set(records.column("backwards").to_pylist()) == {0}


def test_the_gradients_of_surrogates_stay_theirs() -> None:
    model, inputs, labels = problem((20,))
    surrogate = near_copy(model, 0.2)
    before = {name: value.clone() for name, value in surrogate.state_dict().items()}

    def guarded(points: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        logits: Tensor = model(points)
        return logits

    transfer(guarded, inputs, labels, surrogates=surrogate, budget=30)
    assert all(torch.equal(value, before[name]) for name, value in surrogate.state_dict().items())
    assert all(parameter.grad is None for parameter in surrogate.parameters())
