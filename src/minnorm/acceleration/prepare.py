"""Prepares a model once: tries what could make it faster, measures, and keeps what does."""

import copy
import logging
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.acceleration import techniques
from minnorm.acceleration.accelerated import Accelerated, Classifier, original
from minnorm.acceleration.memory import keep_freed_memory
from minnorm.acceleration.narrow import narrowed
from minnorm.acceleration.timing import fitting_seconds, gradient_seconds, gradients
from minnorm.geometry import rows

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

_GAIN, _COARSE_GAIN = 1.08, 1.2
"""How many times faster something has to be to be kept, exact and coarse."""

_COSINE = 0.9
"""How near the gradients of a coarse classifier have to be to the exact ones, as a median."""


def accelerate(model: Classifier, example: Float[Tensor, "b *d"], use: str = "auto") -> Accelerated:
    """Prepares a classifier for many gradients with respect to its inputs.

    The model itself is not changed. A copy is put in evaluation mode, its parameters are frozen,
    batch norms are folded into the convolutions before them; then it is measured on the example
    what is faster here: other gradients for convolutions of few channels, images with channels
    last, and, for a coarse classifier, bfloat16 behind the first layer. What is not a
    `torch.nn.Module` cannot be copied, and is called as it is; so is, by `auto`, what has neither
    float32 nor float64 logits, or whose copy fails or gives other logits or gradients.

    The copy does not follow the model: after a change of its weights prepare it again. Attacks ask
    a few times more than their documentation says, to confirm what the coarse classifier finds:
    once for each twenty steps and up to seven times at the end, forwards only. On a CPU the whole
    process keeps memory that it frees from now on, see `keep_freed_memory`.

    Measurements differ from run to run, and so may what they choose. Given as `use`, what was
    `used` in one run makes another the same.

    Args:
        model: The classifier; what it says of a sample must not depend on the others. Of an
            accelerated one its original is prepared anew.
        example: A batch of inputs, on the model's device; at most 64 of them are used.
        use: `auto`; `off`, which leaves the model as it is; or words joined by `+`: `folded`,
            `narrow`, `channels-last`, `compiled`, and for the coarse classifier `autocast` or
            `bfloat16` (the weights too); `plain` for none of them. `compiled` is
            `torch.compile`, which takes a minute or more at first, and is never chosen by itself.

    Returns:
        A classifier to be attacked in the model's place.

    Raises:
        ValueError: If a word is unknown, or what was asked for cannot be done.
    """
    check_use(use)
    words = _words(use)
    model = original(model)
    if words == ["off"]:
        return Accelerated(model, model, None, "off", ())
    if example.device.type == "cpu":
        keep_freed_memory()  # first: what is measured shall hold for what comes after it
    with torch.inference_mode(False), torch.no_grad():
        given = example[:SAMPLES].clone()
        prepared = _automatic(model, given) if words == ["auto"] else _asked(model, given, words)
    for note in prepared.notes:
        logger.info("%s", note)
    return prepared


def _automatic(model: Classifier, example: Tensor) -> Accelerated:
    """Finds out what pays; what fails or is another classifier afterwards is left as it is."""
    try:
        return _prepare(model, example, None)
    except Exception as error:  # whatever a user's module does as a copy, frozen, in parts
        why = f"its copy fails: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
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
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]})."
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


def check_use(use: object) -> None:
    """Checks what `accelerate` is asked to do, before a model is there.

    Raises:
        ValueError: If a word is unknown, or two of them exclude each other.
    """
    if not isinstance(use, str):
        raise ValueError(f"accelerate={use!r}: expected words, for example 'auto' or 'off'.")
    _words(use)


def _words(use: str) -> list[str]:
    words = [word.strip() for word in use.split("+")]
    single = {"auto", "off", PLAIN}
    unknown = [word for word in words if word not in WORDS and word not in single]
    if unknown or (len(words) > 1 and single & set(words)):
        raise ValueError(
            f"accelerate={use!r}: expected 'auto', 'off', '{PLAIN}', or some of "
            f"{', '.join(WORDS)} joined by '+'."
        )
    if {"autocast", "bfloat16"} <= set(words):
        raise ValueError(f"accelerate={use!r}: choose one of 'autocast' and 'bfloat16'.")
    return words


def _prepare(model: Classifier, example: Tensor, words: Sequence[str] | None) -> Accelerated:
    module, why = _frozen_copy(model)
    if module is None and words is None:
        return Accelerated(model, model, None, "off", (why,))
    kept = model
    if isinstance(model, nn.Module) and module is not None and _training(model):
        kept = copy.deepcopy(module)  # in evaluation mode, and otherwise untouched
    if module is not None:
        example, seconds = _measurable(module, example)
        dtype = module(example[:1]).dtype
        if dtype not in (torch.float32, torch.float64):
            why = f"its logits are {dtype}: on the boundary no copy would agree with it"
        elif seconds < _SHORTEST:
            milliseconds = f"{1e3 * seconds:.2g} ms"
            why = f"a gradient of {len(example)} samples takes {milliseconds}: nothing to gain"
        if why and words is None:
            return Accelerated(kept, kept, None, "off", (why,))
    choice = _Choice(example, words)
    exact, coarse = model, None
    if module is not None:
        module = _narrowed(_folded(module, choice), choice)
        exact, layout = _exact(module, choice)
        coarse = _coarse(module, exact, layout, choice)
    if choice.asked("compiled"):
        exact, coarse = _compiled(exact, example), coarse and _compiled(coarse, example)
        choice.tell("compiled", True, "asked for")
    for word in words or ():
        if word != PLAIN and word not in choice.used:
            reasons = [note for note in choice.notes if note.startswith(f"{word}: ")] or [why]
            raise ValueError(
                f"accelerate: {word!r} cannot be done with this model here ({reasons[0]})."
            )
    if module is not None and not techniques.agree(exact, kept, example):
        raise ValueError("the prepared model gives other logits or gradients than the original.")
    used = "+".join(choice.used) or PLAIN
    return Accelerated(kept, exact, coarse, used, tuple(choice.notes))


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

    def seconds(self, classifier: Classifier) -> float:
        """Gives the least time of a gradient of the example; infinite for one that fails."""
        try:
            return gradient_seconds(classifier, self.example, repeats=5)
        except Exception:  # whatever a user's module does in another precision or layout
            return float("inf")


def _training(module: nn.Module) -> bool:
    return any(part.training for part in module.modules())


def _frozen_copy(model: Classifier) -> tuple[nn.Module | None, str]:
    """Gives a copy in evaluation mode with frozen parameters, or why there is none."""
    if not isinstance(model, nn.Module):
        return None, "not a torch.nn.Module: it is called as it is"
    try:
        return copy.deepcopy(model).eval().requires_grad_(False), ""
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
    ratio = choice.seconds(module) / choice.seconds(fast) if choice.free else float("inf")
    use = ratio >= _GAIN
    choice.tell("narrow", use, f"{ratio:.2f} times as fast" if choice.free else "asked for")
    return fast if use else module


def _exact(model: nn.Module, choice: _Choice) -> tuple[Classifier, str]:
    """Gives the exact classifier, and the layout of its images: `channels-last` or the usual."""
    if choice.example.ndim != 4 or not choice.wants("channels-last"):
        return model, ""
    plain = choice.seconds(model) if choice.free else float("inf")
    laid_out = techniques.channels_last(copy.deepcopy(model))
    ratio = plain / choice.seconds(laid_out)
    use = ratio >= _GAIN
    choice.tell("channels-last", use, f"{ratio:.2f} times as fast" if choice.free else "asked for")
    return (laid_out, "channels-last") if use else (model, "")


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
    times = {word: choice.seconds(candidate) for word, candidate in candidates.items()}
    usable = [word for word in times if times[word] < float("inf")]
    if not usable:
        for word in candidates:
            choice.tell(word, False, "it fails")
        return None
    best = min(usable, key=lambda word: times[word])
    ratio = choice.seconds(exact) / times[best] if choice.free else float("inf")
    expected, found = (rows(gradients(one, example)) for one in (exact, candidates[best]))
    cosine = float(torch.cosine_similarity(expected, found).median())
    fast, true = ratio >= _COARSE_GAIN, cosine >= _COSINE
    why = f"{ratio:.2f} times as fast, " if choice.free else ""
    for word in candidates:
        if word != best:
            choice.tell(word, False, f"{times[word] / times[best]:.2f} times the time of {best}")
    choice.tell(best, fast and true, f"{why}its gradients have a cosine of {cosine:.3f}")
    return candidates[best] if fast and true else None
