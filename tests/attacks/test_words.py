"""The words of papers and other libraries: understood, or answered with what to write."""

import pytest

from minnorm import attacks
from minnorm.attacks import attack_name, load_attack
from minnorm.errors import InputError


@pytest.mark.parametrize(
    ("words", "spec"),
    [
        ("DDN", "ddn"),
        ("Deep_Fool", "deepfool"),
        ("Normal-Pursuit", "normal_pursuit"),
        ("L-BFGS", "lbfgs"),
        ("cw", "carlini_wagner"),
        ("C&W", "carlini_wagner"),
        ("Carlini-Wagner", "carlini_wagner"),
        ("carlini", "carlini_wagner"),
        ("cw-l2", "carlini_wagner"),
        ("ddn_l2", "ddn"),
        ("FAB-T", "fab(one_by_one=True)"),
        ("apgd-ce(eps=0.5)", "apgd(epsilon=0.5)"),
        ("AutoPGD(eps=0.5)", "apgd(epsilon=0.5)"),
        ("apgd-t(eps=0.5)", "apgd(epsilon=0.5, loss='targeted-dlr')"),
        ("PGD-Linf(eps=1/2)", "pgd(epsilon=0.5, norm='linf')"),
        ("pgd_l2(eps=0.5)", "pgd(epsilon=0.5, norm='l2')"),
        ("with-restarts(attack=DDN)", "with_restarts(attack='ddn', restarts=5)"),
    ],
)
def test_other_names_of_attacks_are_understood(words: str, spec: str) -> None:
    assert attack_name(load_attack(words)) == spec


@pytest.mark.parametrize(
    ("words", "spec"),
    [
        ("fgsm(eps=8/255)", f"fgsm(epsilon={8 / 255})"),
        ("fgsm(eps='8/255')", f"fgsm(epsilon={8 / 255})"),
        ("fgsm(Epsilon=1)", "fgsm(epsilon=1)"),
        ("pgd(eps=1, alpha=0.25, nb_iter=3)", "pgd(epsilon=1, step_size=0.25, steps=3)"),
        ("pgd(eps=1, num_steps=3, n_restarts=2)", "pgd(epsilon=1, steps=3, restarts=2)"),
        ("pgd(eps=1, rand_init=False)", "pgd(epsilon=1, random_start=False)"),
        ("ddn(iterations=3, init_norm=0.5)", "ddn(steps=3, initial_norm=0.5)"),
        ("ddn(max_iter=3)", "ddn(steps=3)"),
        ("ddn(n_iter=3)", "ddn(steps=3)"),
        ("cw(lr=0.1, kappa=2)", "carlini_wagner(step_size=0.1, confidence=2)"),
        ("cw(binary_search_steps=3)", "carlini_wagner(searches=3)"),
        ("fmn(p=2)", "fmn(norm='l2')"),
        ("apgd(eps=1, loss=ce)", "apgd(epsilon=1, loss='cross-entropy')"),
        ("apgd(eps=1, loss=targeted-dlr)", "apgd(epsilon=1, loss='targeted-dlr')"),
    ],
)
def test_other_names_of_parameters_are_understood(words: str, spec: str) -> None:
    assert attack_name(load_attack(words)) == spec


@pytest.mark.parametrize("word", ["'L2'", "L2", "l_2", "2", "2.0", "'l2'"])
def test_every_way_to_write_the_l2_norm_is_understood(word: str) -> None:
    assert attack_name(load_attack(f"fmn(norm={word})")) == "fmn(norm='l2')"


@pytest.mark.parametrize("word", ["'inf'", "inf", "Linf", "np.inf", "math.inf", "L-inf", "1e999"])
def test_every_way_to_write_the_linf_norm_is_understood(word: str) -> None:
    assert attack_name(load_attack(f"fmn(norm={word})")) == "fmn(norm='linf')"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("boundary-attack", "decision_pursuit and hop_skip_jump read nothing but the predicted"),
        ("BIM", "BIM is PGD without a random start"),
        ("ddn-linf", "unknown attack 'ddn-linf': ddn has no parameter norm"),
        ("fmn(norm=L3)", "norm='L3': expected one of l0, l1, l2, linf"),
        ("fmn(norm=3)", "norm=3: expected one of l0, l1, l2, linf"),
        ("pgd(eps=1, epsilon=2)", "pgd: epsilon is given twice"),
        ("normal_pursuit(steps=30)", "unknown parameter 'steps'.*Did you mean 'budget'"),
        ("normal_pursuit(iterations=30)", "Did you mean 'budget'"),
        ("alma(alpha=0.5)", "unknown parameter 'alpha' of alma"),
        ("ddn(eps=0.5)", "unknown parameter 'eps' of ddn. Did you mean 'steps'"),
        ("ddn(targeted=True)", "targeted cannot be set"),
    ],
)
def test_what_is_not_clear_is_refused_with_what_to_write(words: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_attack(words)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PGD", "Did you mean 'pgd'[?]"),
        ("cw", "Did you mean 'carlini_wagner'[?]"),
        ("AutoAttack", "Did you mean 'autoattack'[?]"),
        ("nothing_like_it", "has no attribute 'nothing_like_it': "),
    ],
)
def test_an_attribute_of_the_package_has_a_hint(name: str, hint: str) -> None:
    assert not hasattr(attacks, name)
    with pytest.raises(AttributeError, match=hint):
        getattr(attacks, name)


def test_a_private_attribute_has_no_hint() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute '_cw'$"):
        getattr(attacks, "_cw")  # noqa: B009
