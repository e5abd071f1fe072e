"""Our attacks, paired with those of other libraries with the same hyper-parameters."""

from dataclasses import dataclass

from libraries import Run, of_adv_lib, of_foolbox, of_ours, of_torchattacks
from minnorm import attacks
from minnorm.geometry import Norm


@dataclass(frozen=True)
class Pairing:
    """An attack, ours and those of the peers, with the same hyper-parameters.

    Attributes:
        norm: The norm of the distances.
        ours: Our attack.
        peers: The attacks of the peers, by the name of the library.
        within: The radius, for attacks that have one: then success counts, not the distance.
    """

    norm: Norm
    ours: Run
    peers: dict[str, Run]
    within: float | None = None


def pairings(radius_l2: float, radius_linf: float, step_size: float) -> dict[str, Pairing]:
    """Return the pairings; the radii and the step size are for the attacks that have one."""
    inf = float("inf")
    # The first radius of attacks that bisect the radius; a peer finds nothing beyond twice this.
    largest = 1.0 if radius_l2 < 1 else 4.0
    step_l2, step_linf = 2.5 * radius_l2 / 40, 2.5 * radius_linf / 40
    return {
        "ddn, 100 steps": Pairing(
            "l2",
            of_ours(attacks.ddn, steps=100),
            {
                "adv-lib": of_adv_lib("ddn", steps=100, levels=None),
                "foolbox": of_foolbox("DDNAttack", steps=100),
            },
        ),
        "fmn, 100 steps": Pairing(
            "l2",
            of_ours(attacks.fmn, steps=100),
            {
                "adv-lib": of_adv_lib("fmn", norm=2, steps=100),
                "foolbox": of_foolbox("L2FMNAttack", steps=100),
            },
        ),
        "fmn linf, 100 steps": Pairing(
            "linf",
            of_ours(attacks.fmn, norm="linf", steps=100),
            {
                "adv-lib": of_adv_lib("fmn", norm=inf, steps=100),
                "foolbox": of_foolbox("LInfFMNAttack", steps=100),
            },
        ),
        "carlini_wagner, 4 x 100": Pairing(
            "l2",
            of_ours(
                attacks.carlini_wagner,
                searches=4,
                steps=100,
                step_size=step_size,
                initial_constant=1.0,
            ),
            {
                "adv-lib": of_adv_lib(
                    "carlini_wagner_l2",
                    binary_search_steps=4,
                    max_iterations=100,
                    learning_rate=step_size,
                    initial_const=1.0,
                ),
                "foolbox": of_foolbox(
                    "L2CarliniWagnerAttack",
                    binary_search_steps=4,
                    steps=100,
                    stepsize=step_size,
                    initial_const=1.0,
                ),
                # It does not search for the constant: it takes all steps with one.
                "torchattacks": of_torchattacks("CW", c=10, steps=400, lr=step_size),
            },
        ),
        "alma, 300 steps": Pairing(
            "l2",
            of_ours(attacks.alma, steps=300, step_size=step_size),
            {"adv-lib": of_adv_lib("alma", num_steps=300, lr_init=step_size)},
        ),
        "pdgd, 200 steps": Pairing(
            "l2",
            of_ours(attacks.pdgd, steps=200, step_size=step_size),
            {"adv-lib": of_adv_lib("pdgd", num_steps=200, primal_lr=step_size)},
        ),
        "deepfool": Pairing(
            "l2",
            of_ours(attacks.deepfool),
            {
                "adv-lib": of_adv_lib("df", steps=50),
                "foolbox": of_foolbox("L2DeepFoolAttack"),
                "torchattacks": of_torchattacks("DeepFool"),
            },
        ),
        "deepfool linf": Pairing(
            "linf",
            of_ours(attacks.deepfool, norm="linf"),
            {
                "adv-lib": of_adv_lib("df", steps=50, norm=inf),
                "foolbox": of_foolbox("LinfDeepFoolAttack"),
            },
        ),
        "superdeepfool": Pairing(
            "l2",
            of_ours(attacks.superdeepfool),
            {"adv-lib": of_adv_lib("sdf", steps=50, df_steps=50)},
        ),
        "fab one by one, 10 steps": Pairing(
            "l2",
            of_ours(attacks.fab, steps=10, one_by_one=True),
            # FAB of torchattacks skips the samples that have reached an earlier class.
            {"adv-lib": of_adv_lib("fab", norm=2, n_iter=10, targeted_restarts=True)},
        ),
        "fab, 20 steps": Pairing(
            "l2",
            of_ours(attacks.fab, steps=20),
            {
                "adv-lib": of_adv_lib("fab", norm=2, n_iter=20),
                "torchattacks": of_torchattacks("FAB", norm="L2", eps=1e3, steps=20),
            },
        ),
        "fab linf, 20 steps": Pairing(
            "linf",
            of_ours(attacks.fab, norm="linf", steps=20),
            {
                "adv-lib": of_adv_lib("fab", norm=inf, n_iter=20),
                "torchattacks": of_torchattacks("FAB", norm="Linf", eps=1e3, steps=20),
            },
        ),
        "apgd_min_norm, 10 x 20": Pairing(
            "l2",
            of_ours(attacks.apgd_min_norm, searches=10, steps=20, initial_norm=largest),
            {
                "adv-lib": of_adv_lib(
                    "minimal_apgd",
                    norm=2,
                    max_eps=largest,
                    binary_search_steps=10,
                    n_iter=20,
                    loss_function="ce",
                )
            },
        ),
        "apgd cross-entropy, 100 steps": Pairing(
            "l2",
            of_ours(attacks.apgd, epsilon=radius_l2, steps=100),
            {
                "adv-lib": of_adv_lib(
                    "apgd", eps=radius_l2, norm=2, n_iter=100, loss_function="ce"
                ),
                "torchattacks": of_torchattacks("APGD", norm="L2", eps=radius_l2, steps=100),
            },
            within=radius_l2,
        ),
        "apgd dlr linf, 100 steps": Pairing(
            "linf",
            of_ours(attacks.apgd, epsilon=radius_linf, steps=100, norm="linf", loss="dlr"),
            {
                "adv-lib": of_adv_lib(
                    "apgd", eps=radius_linf, norm=inf, n_iter=100, loss_function="dlr"
                ),
                "torchattacks": of_torchattacks(
                    "APGD", norm="Linf", eps=radius_linf, steps=100, loss="dlr"
                ),
            },
            within=radius_linf,
        ),
        "apgd targeted dlr, 20 steps": Pairing(
            "l2",
            of_ours(attacks.apgd, epsilon=radius_l2, steps=20, loss="targeted-dlr"),
            {
                "adv-lib": of_adv_lib(
                    "apgd_targeted", eps=radius_l2, norm=2, n_iter=20, loss_function="dlr"
                ),
                "torchattacks": of_torchattacks("APGDT", norm="L2", eps=radius_l2, steps=20),
            },
            within=radius_l2,
        ),
        "pgd, 40 steps": Pairing(
            "l2",
            of_ours(attacks.pgd, epsilon=radius_l2, steps=40),
            {
                "foolbox": of_foolbox("L2PGD", radius=radius_l2, steps=40, abs_stepsize=step_l2),
                "torchattacks": of_torchattacks("PGDL2", eps=radius_l2, alpha=step_l2, steps=40),
            },
            within=radius_l2,
        ),
        "pgd linf, 40 steps": Pairing(
            "linf",
            of_ours(attacks.pgd, epsilon=radius_linf, steps=40, norm="linf"),
            {
                "adv-lib": of_adv_lib(
                    "pgd_linf", ε=radius_linf, steps=40, absolute_step_size=step_linf
                ),
                "foolbox": of_foolbox(
                    "LinfPGD", radius=radius_linf, steps=40, abs_stepsize=step_linf
                ),
                "torchattacks": of_torchattacks("PGD", eps=radius_linf, alpha=step_linf, steps=40),
            },
            within=radius_linf,
        ),
        "fgsm": Pairing(
            "l2",
            of_ours(attacks.fgsm, epsilon=radius_l2),
            {"foolbox": of_foolbox("L2FastGradientAttack", radius=radius_l2)},
            within=radius_l2,
        ),
        "fgsm linf": Pairing(
            "linf",
            of_ours(attacks.fgsm, epsilon=radius_linf, norm="linf"),
            {
                "foolbox": of_foolbox("LinfFastGradientAttack", radius=radius_linf),
                "torchattacks": of_torchattacks("FGSM", eps=radius_linf),
            },
            within=radius_linf,
        ),
    }
