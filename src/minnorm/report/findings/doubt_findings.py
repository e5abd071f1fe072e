"""Findings from the doubts of a run, which its probe and its files have raised."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from minnorm.doubts import Doubt
from minnorm.report.findings.finding import Finding


class _Entry(NamedTuple):
    """What a finding says about a kind of doubt, beside the text of the doubt."""

    level: Literal["problem", "note"]
    title: str
    advice: str


_ENTRIES = {
    "zero-gradients": _Entry(
        "problem",
        "The model has no gradients",
        "Do not use these numbers as a measure of robustness. Find the step that blocks gradients "
        "(.detach(), rounding, argmax, a call of another library), and put "
        "minnorm.models.straight_through around it: it differentiates another function in its "
        "place. If the model can only be called, use minnorm.models.predict_only. Then run the "
        "evaluation again.",
    ),
    "lost-gradients": _Entry(
        "note",
        "The model loses its gradients at the bounds of the inputs",
        "The attacks differentiate the model slightly inside the bounds, so there is nothing you "
        "must do. If you can, remove the clamping at the bounds from the model: the attacks keep "
        "their points inside the bounds.",
    ),
    "probabilities": _Entry(
        "problem",
        "The model returns probabilities instead of logits",
        "Remove the last softmax or sigmoid of the model, and run the evaluation again. If the "
        "model returns nothing else, say so: minnorm.models.predict_only(model, "
        "outputs='probabilities').",
    ),
    "saturated": _Entry(
        "note",
        "The softmax of the model is saturated",
        "Do not rely on attacks that follow the cross-entropy, unless they take its direction from "
        "the logits as those of this package do. For others, and for pdgd, divide the logits by a "
        "constant, such as the temperature of the training: the predictions stay the same.",
    ),
    "random": _Entry(
        "problem",
        "The model is random",
        "Evaluate the average of its logits over fixed draws, minnorm.models.averaged(model).",
    ),
    "nan": _Entry(
        "problem",
        "The model returns NaN",
        "Find the operation of the model that makes NaN, correct it, and run the evaluation again.",
    ),
    "chance": _Entry(
        "problem",
        "The clean accuracy is near chance",
        "Check that the inputs are normalized as in training (the range of values, the mean and "
        "the standard deviation, inside the model), that the weights are loaded, and that the "
        "labels have the order of the model's classes.",
    ),
    "constant": _Entry(
        "problem",
        "The model predicts the same class for all samples",
        "Check that the inputs are normalized as in training, that the weights are loaded, and "
        "what the outputs of the model are. Choose samples among which each class is frequent.",
    ),
    "label-order": _Entry(
        "problem",
        "The labels seem to be in another order than the classes of the model",
        "Compare the order of the classes of the data with that of the model: 'minnorm data show' "
        "lists the class of each label. Folders of classes are numbered by their sorted names.",
    ),
    "wrong-successes": _Entry(
        "problem",
        "An attack reports successes that are none",
        "Check that the model returns the same logits in every call; if it is random, attack its "
        "average, minnorm.models.averaged(model). If it does, check how the attack decides about "
        "success, and that it clips to the bounds.",
    ),
    "invalid-points": _Entry(
        "problem",
        "An attack returns points with NaN or infinite values",
        "Correct the attack, or use another one, and run the evaluation again.",
    ),
    "scale": _Entry(
        "problem",
        "The inputs do not seem to have the scale of the bounds",
        "Check the range of values that the model expects, and give the bounds of the inputs with "
        "--bounds.",
    ),
    "data": _Entry(
        "problem",
        "The labels may not be those of the model",
        "Compare the classes of the data with those of the model: 'minnorm data show' lists the "
        "class of each label.",
    ),
    "random-data": _Entry(
        "problem",
        "The samples are others each time they are read",
        "Use the data set with transforms that draw no random numbers, such as those for tests.",
    ),
    "slice": _Entry(
        "problem",
        "The samples are not a fair part of the data",
        "Use a slice with a step, for example [::10], so that all classes are in it.",
    ),
    "incomplete": _Entry(
        "problem",
        "The run is incomplete",
        "Repeat the command that started the run: it continues where the run stopped.",
    ),
    "missing-adversarials": _Entry(
        "note",
        "Adversarials are missing",
        "The numbers are not affected. To get the images back, repeat the command that started the "
        "run.",
    ),
    "mixed-data": _Entry(
        "problem",
        "The attacks had other data",
        "Repeat the run in another folder.",
    ),
    "mixed-models": _Entry(
        "problem",
        "The model has changed between the attacks",
        "Repeat the run in another folder.",
    ),
    "changed-sessions": _Entry(
        "note",
        "The run was continued with other versions or settings",
        "If small differences matter, repeat the run in a new folder, in one session.",
    ),
}
"""What a finding says about each kind of `minnorm.doubts.KINDS`."""

_UNKNOWN = _Entry("note", "A warning of the run", "Read the warning before you use the numbers.")


def doubt_findings(doubts: Iterable[Doubt]) -> list[Finding]:
    """Return a finding for each doubt.

    Args:
        doubts: The doubts of a run.
    """
    return [
        Finding(doubt.kind, entry.level, entry.title, _text(doubt, entry.title), entry.advice)
        for doubt in doubts
        for entry in [_ENTRIES.get(doubt.kind, _UNKNOWN)]
    ]


def _text(doubt: Doubt, title: str) -> str:
    """Return the text of a doubt as sentences that do not repeat the title.

    A name at its beginning stays as it is.
    """
    text = doubt.text.removeprefix(f"{title}. ")
    return f"The {text.removeprefix('the ')}" if text.startswith("the ") else text
