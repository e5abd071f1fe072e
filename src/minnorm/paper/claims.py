"""What the paper claims, in forms that can be checked: the entries under `claims`.

`minnorm.paper.claim_results` checks them on records. `own` is for a claim that only the kind of the
experiment can check, for example about pictures or queries: its function makes the result.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field


class _Claim(BaseModel):
    """A claim.

    Attributes:
        text: The claim, as one sentence.
        setting: The setting that it is about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
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
    """An attack succeeds less often than another one, or than a share of the images.

    Attributes:
        attack: The attack.
        beside: The other attack; `None` for a share.
        below: The share, from 0 to 1, without another attack.
        over: `all` pairs, or of each image the `hardest` target of each attack.
    """

    kind: Literal["success_below"]
    attack: str
    beside: str | None = None
    below: float | None = Field(default=None, gt=0, le=1)
    over: Literal["all", "hardest"] = "all"


class Closer(_Claim):
    """An attack is better than another one at the same number of gradients.

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


class MoreRobust(_Claim):
    """A network is more accurate under attack than another one, at each of several radii.

    Attributes:
        beside: The setting of the other network.
        attack: The attack; `All` is the closest over `Setting.combined.over`.
        epsilons: The radii.
    """

    kind: Literal["more_robust"]
    beside: str
    attack: str = "All"
    epsilons: tuple[float, ...]


class Own(_Claim):
    """A claim that the kind of the experiment checks.

    Attributes:
        name: Which of the claims that the kind knows.
        options: What it needs for that.
    """

    kind: Literal["own"]
    name: str
    setting: str = ""
    options: dict[str, Any] = Field(default_factory=dict)


Claim: TypeAlias = Annotated[
    RatioOfMeans | MeanOfPaper | SuccessBelow | Closer | MoreRobust | Own,
    Field(discriminator="kind"),
]
