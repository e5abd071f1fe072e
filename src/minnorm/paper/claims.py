"""What the paper and this package claim, in forms that can be checked: the entries under `claims`.

`minnorm.paper.claim_results` checks them on records. `own` is for a claim that only the kind of the
experiment can check, for example about pictures or queries: its function makes the result.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field


class _Claim(BaseModel):
    """A claim.

    Attributes:
        text: The claim, as one sentence.
        by: Who claims it: the `paper`, or this `package`.
        setting: The setting that it is about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    by: Literal["paper", "package"] = "paper"
    setting: str


class RatioOfMeans(_Claim):
    """The mean distance of an attack is at most a multiple of that of another one.

    It is over the pairs (image, target) on which both succeed.

    Attributes:
        attack: The attack; `All` is the closest over `Setting.combined.over`.
        beside: The other attack.
        at_most: The largest ratio.
        over: `all` pairs, or of each image the `hardest` target of each attack.
    """

    kind: Literal["ratio_of_means"]
    attack: str
    beside: str
    at_most: float
    over: Literal["all", "hardest"] = "all"


class MeanOfPaper(_Claim):
    """The mean distance of an attack is within a share of the one that the paper has.

    Attributes:
        attack: The attack.
        within: The largest relative difference, in either direction.
    """

    kind: Literal["mean_of_paper"]
    attack: str
    within: float


class SuccessBelow(_Claim):
    """An attack succeeds less often than another one.

    Attributes:
        attack: The attack.
        beside: The other attack.
        over: `all` pairs, or of each image the `hardest` target of each attack.
    """

    kind: Literal["success_below"]
    attack: str
    beside: str
    over: Literal["all", "hardest"] = "all"


class Closer(_Claim):
    """An attack is better than another one.

    It is closer more often than it is farther, where a failure is farther than any success.

    Attributes:
        attack: The attack.
        beside: The attacks that it beats, each of them.
        over: `all` pairs, or of each image the `hardest` target of each attack.
    """

    kind: Literal["closer"]
    attack: str
    beside: tuple[str, ...]
    over: Literal["all", "hardest"] = "all"


class WorseOn(_Claim):
    """An attack is worse on a network than on another one, by its distances relative to an attack.

    The ratio of its distance to that of the other attack is larger, by the geometric mean over the
    images on which both attacks find an adversarial on both networks.

    Attributes:
        attack: The attack.
        beside: The attack that it is compared with.
        other: The setting of the other network, on the same images.
    """

    kind: Literal["worse_on"]
    attack: str
    beside: str
    other: str


class MoreRobust(_Claim):
    """A network is more accurate under attack than another one, at each of several radii.

    Attributes:
        other: The setting of the other network.
        attack: The attack; `All` is the closest over `Setting.combined.over`.
        epsilons: The radii.
    """

    kind: Literal["more_robust"]
    other: str
    attack: str = "All"
    epsilons: tuple[float, ...]


class LargerMean(_Claim):
    """The mean distance on a network is larger than on another one.

    It is over the images on which the attack succeeds on both.

    Attributes:
        other: The setting of the other network, on the same images.
        attack: The attack; `All` is the closest over `Setting.combined.over`.
    """

    kind: Literal["larger_mean"]
    other: str
    attack: str = "All"


class Own(_Claim):
    """A claim that the kind of the experiment checks.

    Attributes:
        name: Which of the claims that the kind knows.
    """

    kind: Literal["own"]
    name: str
    setting: str = ""


Claim: TypeAlias = Annotated[
    RatioOfMeans | MeanOfPaper | SuccessBelow | Closer | WorseOn | MoreRobust | LargerMean | Own,
    Field(discriminator="kind"),
]
