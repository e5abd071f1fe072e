"""Prepares a model once: tries what could make it faster, measures, and keeps what does."""

import copy
import logging
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.acceleration import techniques
from minnorm.acceleration.accelerated import Accelerated, Classifier, check_callable, original
from minnorm.acceleration.answer import answer
from minnorm.acceleration.memory import keep_freed_memory
from minnorm.acceleration.narrow import narrowed
from minnorm.acceleration.timing import (
    compared_seconds,
    fitting_seconds,
    gradient_seconds,
    gradients,
)
from minnorm.errors import in_short
from minnorm.geometry import rows
from minnorm.losses import check_logits

logger = logging.getLogger(__name__)

WORDS = ("folded", "narrow", "channels-last", "autocast", "bfloat16", "compiled")
"""What can be done, in the order in which it is done; `autocast` and `bfloat16` are of the coarse
classifier."""

PLAIN = "plain"
"""What was done where nothing was: parameters are frozen all the same."""

SAMPLES = 64
"""Samples of the example on which is measured: enough to tell, and few enough to cost little."""

_FEWEST = 4
"""Samples that are measured on even where their gradient takes longer."""

_LONGEST, _SHORTEST = 0.1, 0.002
"""Seconds that a gradient that is measured may take, and below which there is nothing to gain."""

_GAIN, _COARSE_GAIN = 1.02, 1.2
"""How many times faster something has to be to be kept: what computes the same, where it gains at
all, since in low precision it gains more; a coarse classifier, which costs confirmations, much."""

_COSINE = 0.9
"""How near the gradients of a coarse classifier have to be to the exact ones, as a median."""

_GIVEN = "as given"
"""Why something is done that was not found out here: by the user's word, or by an earlier run's."""


def accelerate(model: Classifier, example: Float[Tensor, "b *d"], use: str = "auto") -> Accelerated:
    """Prepares a classifier for many gradients with respect to its inputs.

    The model itself is not changed. A copy is put in evaluation mode, its parameters are frozen,
    batch norms are folded into the convolutions before them; then it is measured on the example
    what is faster here: other gradients for convolutions of few channels, images with channels
    last, and, for a coarse classifier, bfloat16 behind the first layer. What is not a
    `torch.nn.Module`, such as a function, cannot be copied, and is called as it is; so is, by
    `auto`, what has neither float32 nor float64 logits, or whose copy fails or gives other logits
    or gradients.

    The copy does not follow the model: after a change of its weights prepare it again. Attacks ask
    a few times more than their documentation says, to confirm what the coarse classifier finds:
    once for each twenty steps and up to seven times at the end, forwards only. On a CPU the whole
    process keeps memory that it frees from now on, see `keep_freed_memory`.

    Measurements differ from run to run, and so may what they choose. Given as `use`, what was
    `used` in one run makes another the same.

    Args:
        model: The classifier; what it says of a sample must not depend on the others. Of an
            accelerated one its original is prepared anew.
        example: A batch of inputs, on the model's device and in its dtype; at most 64 of them are
            used.
        use: `auto`; `off`, which leaves the model as it is; or words joined by `+`: `folded`,
            `narrow`, `channels-last`, `compiled`, and for the coarse classifier `autocast` or
            `bfloat16` (the weights too); `plain` for none of them, a copy with frozen parameters.
            `compiled` is `torch.compile`, which takes a minute or more at first, and is never
            chosen by itself. The same words as those of `evaluate(..., accelerate=...)`.

    Returns:
        A classifier to be attacked in the model's place. It is no `torch.nn.Module` and cannot be
        pickled: what is to be kept is the model, and the words.

    Raises:
        ValueError: If the model is no function or fails on the example, the example is no batch of
            finite floating point values, a word is unknown, or what was asked for cannot be done.
    """
    words = check_use(use, "use")
    model = original(model)
    _check_given(model, example)
    if example.device.type == "cpu" and words != ["off"]:
        keep_freed_memory()  # first: what is measured shall hold for what comes after it
    with torch.inference_mode(False), torch.no_grad():
        given = example[:SAMPLES].clone()
        model = _in_evaluation_mode(model)
        logits = answer(model, given[:1], what="an example")
        if logits is not None:  # what fits into memory is measured later
            check_logits(logits, torch.zeros(1, dtype=torch.int64))
        if words == ["off"]:
            prepared = Accelerated(model, model, None, "off", ("left as it is, as given",))
        elif words == ["auto"]:
            prepared = _automatic(model, given)
        else:
            prepared = _asked(model, given, words)
    for note in prepared.notes:
        logger.info("%s", note)
    return prepared


def _check_given(model: object, example: object) -> None:
    check_callable(model)
    if not isinstance(example, Tensor):
        raise ValueError(
            f"the example is a {type(example).__name__}; expected a torch tensor, a batch of "
            "inputs, for example torch.as_tensor(example)."
        )
    if example.ndim < 1 or not example.is_floating_point() or example.numel() == 0:
        raise ValueError(
            f"the example has shape {list(example.shape)} and dtype {example.dtype}; expected "
            "floating point values [b, ...], one sample or more."
        )
    if not example.isfinite().all():
        raise ValueError("the example holds NaN or infinite values: remove or mend them.")


def _in_evaluation_mode(model: Classifier) -> Classifier:
    """Gives the model, or its copy in evaluation mode where a part of it is in training mode."""
    if not isinstance(model, nn.Module) or not any(part.training for part in model.modules()):
        return model
    try:
        return copy.deepcopy(model).eval()
    except Exception as error:  # whatever a user's module holds
        raise ValueError(
            "the model is in training mode, and cannot be copied to change that "
            f"({in_short(error)}): call model.eval() first."
        ) from error


def _automatic(model: Classifier, example: Tensor) -> Accelerated:
    """Finds out what pays; what fails or is another classifier afterwards is left as it is."""
    try:
        return _prepare(model, example, None)
    except Exception as error:  # whatever a user's module does as a copy, frozen, in parts
        why = f"its copy fails: {in_short(error)}"
        return Accelerated(model, model, None, "off", (why,))


def _asked(model: Classifier, example: Tensor, words: Sequence[str]) -> Accelerated:
    """Does what is asked for, or raises ValueError."""
    try:
        return _prepare(model, example, words)
    except ValueError:
        raise
    except Exception as error:  # the same
        raise ValueError(
            f"accelerate: {'+'.join(words)!r} cannot be done with this model here "
            f"({in_short(error)})."
        ) from error


def _measurable(model: Classifier, example: Tensor) -> tuple[Tensor, float]:
    """Gives as much of the example as fits and takes no longer than need be, and its seconds."""
    samples = 1
    seconds = fitting_seconds(model, example[:samples], repeats=1)
    if seconds == math.inf:
        raise ValueError("there is not enough memory for a gradient of a single sample")
    while samples < len(example) and (samples < _FEWEST or seconds < _LONGEST / 2):
        more = min(4 * samples, len(example))
        longer = fitting_seconds(model, example[:more], repeats=1)
        if longer == math.inf:
            break
        samples, seconds = more, longer
    if seconds < _LONGEST:  # once more: a single measurement of what is short is mostly noise
        seconds = gradient_seconds(model, example[:samples])
    return example[:samples], seconds


def check_use(use: object, argument: str) -> list[str]:
    """Checks what `accelerate` is asked to do, before a model is there, and gives its words.

    Args:
        use: What is asked.
        argument: What the user knows it by.

    Raises:
        ValueError: If a word is unknown, or two of them exclude each other.
    """
    if not isinstance(use, str):
        raise ValueError(f"{argument}={use!r}: expected words, for example 'auto' or 'off'.")
    words = [word.strip() for word in use.split("+")]
    single = {"auto", "off", PLAIN}
    unknown = [word for word in words if word not in WORDS and word not in single]
    if unknown or (len(words) > 1 and single & set(words)):
        raise ValueError(
            f"{argument}={use!r}: expected 'auto', 'off', '{PLAIN}', or some of "
            f"{', '.join(WORDS)} joined by '+'."
        )
    if {"autocast", "bfloat16"} <= set(words):
        raise ValueError(f"{argument}={use!r}: choose one of 'autocast' and 'bfloat16'.")
    return words


def _prepare(model: Classifier, example: Tensor, words: Sequence[str] | None) -> Accelerated:
    module, why = _frozen_copy(model)
    if module is None and words is None:
        return Accelerated(model, model, None, "off", (why,))
    if module is not None:
        example, seconds = _measurable(module, example)
        dtype = module(example[:1]).dtype
        if dtype not in (torch.float32, torch.float64):
            why = f"its logits are {dtype}: on the boundary no copy would agree with it"
        elif seconds < _SHORTEST:
            milliseconds = f"{1e3 * seconds:.2g} ms"
            why = f"a gradient of {len(example)} samples takes {milliseconds}: nothing to gain"
        if why and words is None:
            return Accelerated(model, model, None, "off", (why,))
    choice = _Choice(example, words)
    exact, coarse = model, None
    if module is not None:
        module = _narrowed(_folded(module, choice), choice)
        exact, layout = _exact(module, choice)
        coarse = _coarse(module, exact, layout, choice)
    if choice.asked("compiled"):
        exact, coarse = _compiled(exact, example), coarse and _compiled(coarse, example)
        choice.tell("compiled", True, _GIVEN)
    for word in words or ():
        if word != PLAIN and word not in choice.used:
            reasons = [note for note in choice.notes if note.startswith(f"{word}: ")] or [why]
            raise ValueError(
                f"accelerate: {word!r} cannot be done with this model here ({reasons[0]})."
            )
    if module is not None and not techniques.agree(exact, model, example):
        raise ValueError("the prepared model gives other logits or gradients than the original.")
    used = "+".join(choice.used) or PLAIN
    notes = choice.notes or ["a copy with frozen parameters, as given"]
    return Accelerated(model, exact, coarse, used, tuple(notes))


def _compiled(classifier: Classifier, example: Tensor) -> Classifier:
    """Compiles a classifier and runs it once: what cannot be compiled fails here."""
    compiled: Classifier = torch.compile(classifier, dynamic=True)
    gradients(compiled, example)
    return compiled


def _folded(module: nn.Module, choice: "_Choice") -> nn.Module:
    if not choice.wants("folded"):
        return module
    fused = techniques.folded(module, choice.example)
    why = "there are no batch norms that can be" if fused is None else "into the layers before them"
    choice.tell("folded", fused is not None, why)
    return module if fused is None else fused


class _Choice:
    """What is asked for, what has been done, and why.

    Args:
        example: What is measured on.
        words: What is asked for; `None` where it is to be found out.
    """

    def __init__(self, example: Tensor, words: Sequence[str] | None) -> None:
        self.example = example
        self._words = words
        self.used: list[str] = []
        self.notes: list[str] = []

    @property
    def free(self) -> bool:
        """Whether it is to be found out by measuring."""
        return self._words is None

    def asked(self, word: str) -> bool:
        """Tells whether something is asked for by name."""
        return self._words is not None and word in self._words

    def wants(self, word: str) -> bool:
        """Tells whether something is worth a try."""
        return self.free or self.asked(word)

    def tell(self, word: str, done: bool, why: str) -> None:
        """Writes down what was done, or not."""
        if done:
            self.used.append(word)
        self.notes.append(f"{word}: {'yes' if done else 'no'} ({why})")

    def speed(self, fast: Classifier, slow: Classifier) -> tuple[float, str]:
        """Tells how many times as fast one classifier is, and in words; infinite where given."""
        if not self.free:
            return math.inf, _GIVEN
        first, second = compared_seconds((fast, slow), self.example)
        ratio = second / first if first < math.inf else 0.0
        return ratio, f"{ratio:.2f} times as fast" if ratio > 0 else "it fails"


def _frozen_copy(model: Classifier) -> tuple[nn.Module | None, str]:
    """Gives a copy with frozen parameters, or why there is none."""
    if not isinstance(model, nn.Module):
        return None, "not a torch.nn.Module: it is called as it is"
    try:
        return copy.deepcopy(model).requires_grad_(False), ""
    except Exception as error:  # whatever a user's module holds
        return None, f"cannot be copied ({type(error).__name__}): it is called as it is"


def _narrowed(module: nn.Module, choice: _Choice) -> nn.Module:
    """Gives the module with fast gradients of its narrow convolutions, if they are faster."""
    if not choice.wants("narrow"):
        return module
    fast = copy.deepcopy(module)
    if not narrowed(fast):
        choice.tell("narrow", False, "no convolution of few channels")
        return module
    ratio, why = choice.speed(fast, module)
    choice.tell("narrow", ratio >= _GAIN, why)
    return fast if ratio >= _GAIN else module


def _exact(model: nn.Module, choice: _Choice) -> tuple[Classifier, str]:
    """Gives the exact classifier, and the layout of its images: `channels-last` or the usual."""
    if not choice.wants("channels-last"):
        return model, ""
    if choice.example.ndim != 4:
        shape = list(choice.example.shape[1:])
        choice.tell("channels-last", False, f"samples of shape {shape} are no images")
        return model, ""
    laid_out = techniques.channels_last(copy.deepcopy(model))
    ratio, why = choice.speed(laid_out, model)
    choice.tell("channels-last", ratio >= _GAIN, why)
    return (laid_out, "channels-last") if ratio >= _GAIN else (model, "")


def _coarse(
    module: nn.Module, exact: Classifier, layout: str, choice: _Choice
) -> Classifier | None:
    """Gives the coarse classifier, if one is worth it."""
    example = choice.example
    if example.dtype != torch.float32:
        for word in ("autocast", "bfloat16"):
            if choice.wants(word):
                choice.tell(word, False, f"the inputs are {example.dtype}")
        return None
    wrap = techniques.channels_last if layout else (lambda low: low)
    ways = {"autocast": techniques.autocast, "bfloat16": techniques.in_bfloat16}
    candidates = {
        word: way(copy.deepcopy(module), wrap, example)
        for word, way in ways.items()
        if choice.wants(word)
    }
    if not candidates:
        return None
    reference, *measured = compared_seconds((exact, *candidates.values()), example)
    times = dict(zip(candidates, measured, strict=True))
    best = min(times, key=lambda word: times[word])
    if times[best] == math.inf:
        for word in candidates:
            choice.tell(word, False, "it fails")
        return None
    ratio = reference / times[best] if choice.free else math.inf
    expected, found = (rows(gradients(one, example)) for one in (exact, candidates[best]))
    cosine = float(torch.cosine_similarity(expected, found).median())
    fast, true = ratio >= _COARSE_GAIN, cosine >= _COSINE
    why = f"{ratio:.2f} times as fast, " if choice.free else ""
    for word in candidates:
        if word != best:
            choice.tell(word, False, f"{times[word] / times[best]:.2f} times the time of {best}")
    choice.tell(best, fast and true, f"{why}its gradients have a cosine of {cosine:.3f}")
    return candidates[best] if fast and true else None
