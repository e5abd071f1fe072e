"""What users get wrong: one message that says what it was and what to do, and exit code 2."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cli.command_line import Shell
from minnorm.data import load_data
from minnorm.evaluation import evaluate
from minnorm.models import build, save_weights

TESTS = Path(__file__).parent.parent
TINY = "evaluation.tiny_models"
MODEL = f"{TINY}:linear"
DATA = "mnist-sample[:8]"
ATTACK = "ddn(steps=2)"


def _npz(folder: Path) -> None:
    images, labels = (part.numpy() for part in load_data(DATA).batch(range(8)))
    holed = images.copy()
    holed[3, 0, 5, 5] = np.nan
    made: dict[str, dict[str, Any]] = {
        "good": {"images": images, "labels": labels},
        "nothing-named-images": {"x": images, "labels": labels},
        "nothing-named-labels": {"images": images, "y": labels},
        "lengths": {"images": images, "labels": labels[:5]},
        "colour": {"images": np.zeros((8, 3, 32, 32), np.float32), "labels": labels},
        "label-10": {"images": images, "labels": np.full(8, 10)},
        "label-below-0": {"images": images, "labels": labels - 9},
        "scaled": {"images": images * 2 - 1, "labels": labels},
        "nan": {"images": holed, "labels": labels},
        "float-labels": {"images": images, "labels": labels.astype(np.float32)},
        "int16": {"images": (images * 255).astype(np.int16), "labels": labels},
        "none": {"images": images[:0], "labels": labels[:0]},
        "objects": {"images": np.array([{}] * 8, dtype=object), "labels": labels},
    }
    for name, arrays in made.items():
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "text.npz").write_text("images and labels")
    (folder / "cut.npz").write_bytes((folder / "good.npz").read_bytes()[:-1000])


class Payload:
    """A pickle that runs code."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("the pickle ran",)


def _weights(folder: Path) -> None:
    save_weights(build("cifar10_cnn"), "cifar10_cnn", folder / "cifar.safetensors")
    content = (folder / "cifar.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(content[: len(content) // 2])
    save_file({"weight": torch.zeros(3)}, folder / "nameless.safetensors")
    torch.save(Payload(), folder / "payload.pt")
    torch.save([1, 2, 3], folder / "list.pt")
    torch.save(build("mnist_cnn").state_dict(), folder / "mnist.pt")
    (folder / "text.pt2").write_text("a program")


def _programs(folder: Path) -> None:
    """Exports programs as users do that forget one thing or another."""
    sample = (torch.rand(8, 1, 28, 28),)
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
    torch.export.save(torch.export.export(network.eval(), sample), folder / "static.pt2")
    dynamic = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(network.train(), sample, dynamic_shapes=dynamic)
    torch.export.save(exported, folder / "dropout.pt2")


def _runs(folder: Path) -> None:
    (folder / "file").write_text("not a folder")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "thesis.tex").write_text("years of work")
    for name in ("other", "bad-shard", "bad-manifest", "no-sessions"):
        evaluate(MODEL, DATA, ATTACK, out=folder / name)
    (folder / "bad-shard" / "records" / "000000-00.parquet").write_bytes(b"PAR1")
    (folder / "bad-manifest" / "manifest.json").write_text('{"format": 2,')
    (folder / "no-sessions" / "manifest.json").write_text('{"format": 2}')


def _recipes(folder: Path) -> None:
    (folder / "wrong.yaml").write_text("name: tiny\nepochs: 0\nepoch: 3\n")
    (folder / "list.yaml").write_text("- a\n- b\n")
    (folder / "broken.yaml").write_text("name: [\n")
    (folder / "broken_module.py").write_text("import no_such_library\n")


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are bad in one way each."""
    folder = tmp_path_factory.mktemp("things")
    for make in (_npz, _weights, _runs, _recipes):
        make(folder)
    return folder


class Case(NamedTuple):
    """A bad evaluation: what differs from a good one, and what the message must say."""

    name: str
    says: tuple[str, ...]
    model: str = MODEL
    data: str = DATA
    attack: str = ATTACK
    out: str | None = "{things}/new"
    options: tuple[str, ...] = ()

    def words(self, things: Path) -> list[str]:
        out = [] if self.out is None else ["--out", self.out]
        words = ["evaluate", self.model, self.data, "--attack", self.attack, *out, *self.options]
        return [word.replace("{things}", str(things)) for word in words]


DATA_CASES = [
    Case("no file", ("there is no file", "gone.npz"), data="{things}/gone.npz"),
    Case("not a zip", ("text.npz cannot be read as npz",), data="{things}/text.npz"),
    Case("cut zip", ("cut.npz cannot be read as npz",), data="{things}/cut.npz"),
    Case("pickled arrays", ("objects.npz cannot be read",), data="{things}/objects.npz"),
    Case(
        "no images",
        ("holds labels, x", "expected arrays named 'images' and 'labels'"),
        data="{things}/nothing-named-images.npz",
    ),
    Case(
        "no labels",
        ("holds images, y", "expected arrays named 'images' and 'labels'"),
        data="{things}/nothing-named-labels.npz",
    ),
    Case("lengths", ("lengths.npz", "[8, 1, 28, 28]", "[5]"), data="{things}/lengths.npz"),
    Case("no samples", ("none.npz has no samples",), data="{things}/none.npz"),
    Case(
        "shape",
        ("cannot take inputs of shape [8, 3, 32, 32]", "colour.npz"),
        data="{things}/colour.npz",
    ),
    Case("label 10", ("label-10.npz", "labels from 0 to 9"), data="{things}/label-10.npz"),
    Case("label below 0", ("labels go from -", "from 0 to 9"), data="{things}/label-below-0.npz"),
    Case(
        "out of bounds",
        ("scaled.npz, samples 0 to 7", "go from -1 to 1", "outside the bounds", "scale them"),
        data="{things}/scaled.npz",
    ),
    Case("NaN", ("nan.npz, samples 0 to 7: inputs hold NaN", "mend"), data="{things}/nan.npz"),
    Case(
        "float labels",
        ("labels are float32; expected whole numbers",),
        data="{things}/float-labels.npz",
    ),
    Case("int16 images", ("images are int16; expected uint8",), data="{things}/int16.npz"),
    Case(
        "unknown data",
        ("there is no data set 'mnits'. Did you mean 'mnist'?", "FILE.npz"),
        data="mnits",
    ),
    Case("not fetched", ("mnist is not in the cache", "minnorm data fetch mnist"), data="mnist"),
    Case("empty slice", ("'mnist-sample[5:5]' is empty", "1000"), data="mnist-sample[5:5]"),
    Case("bad slice", ("cannot read the slice '[a:b]'", "[:1000]"), data="mnist-sample[a:b]"),
    Case("no folder", ("there is no folder /no/such",), data="folder:/no/such"),
    Case("not a folder of images", ("one folder for each class",), data="folder:{things}/foreign"),
    Case("data that is a module", ("cannot use Centred as data",), data=f"{TINY}:linear"),
    Case("one bad sample", ("samples 12 to 15: inputs hold NaN",), data=f"{TINY}:one_bad",
         options=("--batch-size", "4")),
]  # fmt: skip

MODEL_CASES = [
    Case("no weights", ("there is no file", "gone.safetensors"), model="{things}/gone.safetensors"),
    Case("no program", ("there is no file", "gone.pt2"), model="{things}/gone.pt2"),
    Case("no checkpoint", ("there is no file", "gone.pt"), model="{things}/gone.pt + mnist_cnn"),
    Case("not trusted", ("text.pt2 is refused", "--trust"), model="{things}/text.pt2"),
    Case(
        "not a program",
        ("text.pt2 cannot be read",),
        model="{things}/text.pt2",
        options=("--trust",),
    ),
    Case("no home", ("cannot read the path '~nosuchuser",), model="~nosuchuser/model.safetensors"),
    Case(
        "pickle",
        ("payload.pt is refused", "runs whatever code is in it", "--trust"),
        model="{things}/payload.pt + mnist_cnn",
    ),
    Case("not weights", ("list.pt holds no table of weights",), model="{things}/list.pt"),
    Case("no architecture", ("mnist.pt does not say", " + "), model="{things}/mnist.pt"),
    Case(
        "no header", ("nameless.safetensors does not say",), model="{things}/nameless.safetensors"
    ),
    Case(
        "cut weights",
        ("cut.safetensors is not a whole safetensors file",),
        model="{things}/cut.safetensors",
    ),
    Case(
        "other weights",
        ("cifar.safetensors do not fit 'mnist_cnn'", "conv1"),
        model="{things}/cifar.safetensors + mnist_cnn",
    ),
    Case(
        "other shape",
        ("cannot take inputs of shape [8, 1, 28, 28]",),
        model="{things}/cifar.safetensors",
    ),
    Case("not in the zoo", ("'mnist-cn'", "Did you mean 'mnist-cnn'?"), model="zoo:mnist-cn"),
    Case(
        "unknown architecture",
        ("there is no architecture 'mnist_cn'. Did you mean 'mnist_cnn'?",),
        model="{things}/mnist.pt + mnist_cn",
    ),
    Case("not a model", ("cannot read 'banana' as a model", "zoo:NAME"), model="banana"),
    Case("not served", ("hf:org/name", "not served yet", "zoo:NAME"), model="hf:org/name"),
    Case("a slice", ("a model has no slice",), model=f"{MODEL}[:3]"),
    Case("no module", ("importing no_such_module raised",), model="no_such_module:network"),
    Case(
        "module that raises",
        ("broken_module", "No module named 'no_such_library'"),
        model="broken_module:network",
    ),
    Case("no factory", (f"{TINY} has no function 'nothing'", "write"), model=f"{TINY}:nothing"),
    Case("factory raises", ("RuntimeError: no weights today",), model=f"{TINY}:raises"),
    Case("no network", ("gave a str; expected a torch.nn.Module",), model=f"{TINY}:no_module"),
    Case(
        "unknown argument",
        (f"parameter of {MODEL} 'sede'. Did you mean 'seed'?",),
        model=f"{MODEL}(sede=1)",
    ),
    Case(
        "one number",
        ("output of shape [8] for 8 inputs; expected logits [8, classes]",),
        model=f"{TINY}:says(kind='one number')",
    ),
    Case("one class", ("[8, 1]", "at least 2 classes"), model=f"{TINY}:says(kind='one class')"),
    Case("tuple", ("tuple",), model=f"{TINY}:says(kind='tuple')"),
    Case("whole numbers", ("int64",), model=f"{TINY}:says(kind='whole numbers')"),
    Case(
        "assertion",
        ("cannot take inputs of shape [8, 1, 28, 28]", "Input image size doesn't match"),
        model=f"{TINY}:says(kind='picky')",
    ),
]

ATTACK_CASES = [
    Case("unknown attack", ("there is no attack 'dnn'. Did you mean 'ddn'?",), attack="dnn"),
    Case("unknown parameter", ("'step'. Did you mean 'steps'?",), attack="ddn(step=3)"),
    Case("steps=0", ("steps=0: expected a whole number",), attack="ddn(steps=0)"),
    Case("steps='x'", ("steps='x': expected a whole number",), attack="ddn(steps='x')"),
    Case("gamma=2", ("gamma=2: expected a number above 0 and below 1",), attack="ddn(gamma=2)"),
    Case("levels=1", ("levels=1: expected a whole number of at least 2",), attack="ddn(levels=1)"),
    Case("malformed", ("cannot read the arguments '(steps=)'",), attack="ddn(steps=)"),
    Case("by position", ("cannot read the arguments '(3)'", "name=value"), attack="ddn(3)"),
    Case("empty", ("'' names nothing",), attack=""),
    Case("open bracket", ("'ddn(steps=20' is not closed: write ')'",), attack="ddn(steps=20"),
    Case("given by us", ("targeted cannot be set in a spec",), attack="ddn(targeted=True)"),
    Case("twice", ("two of the attacks are the same",), options=("--attack", ATTACK)),
    Case("too large", ("expected a number above 0",), attack="ddn(initial_norm=1e300)"),
]

OPTION_CASES = [
    Case("missing out", ("Missing option '--out'",), out=None),
    Case("targets", ("targets='some': expected 'all'", "random:K"), options=("--targets", "some")),
    Case(
        "too many targets",
        ("targets='random:10': the model has 10 classes, so 9 others",),
        options=("--targets", "random:10"),
    ),
    Case(
        "batch size 0",
        ("batch_size=0: expected a whole number of at least 1",),
        options=("--batch-size", "0"),
    ),
    Case(
        "batch size x", ("--batch-size", "a whole number, or auto"), options=("--batch-size", "x")
    ),
    Case(
        "accelerate",
        ("accelerate='fast': expected 'auto', 'off', 'plain', or some of folded",),
        options=("--accelerate", "fast"),
    ),
    Case(
        "accelerate twice",
        ("choose one of 'autocast' and 'bfloat16'",),
        options=("--accelerate", "autocast+bfloat16"),
    ),
    Case("device", ("cannot use the device 'banana'", "cpu"), options=("--device", "banana")),
    Case(
        "norm",
        ("norm='l3': expected one of l0, l1, l2, linf", "l0, l1, l2, linf"),
        options=("--norm", "l3"),
    ),
    Case("radius below 0", ("expected a radius of at least 0",), options=("--epsilon", "-1")),
    Case("bounds reversed", ("low < high",), options=("--bounds", "1", "0")),
    Case("bounds of one", ("--bounds",), options=("--bounds", "1")),
    Case("seed too large", ("seed",), options=("--seed", "1" + "0" * 30)),
    Case("seed below 0", ("seed=-1",), options=("--seed", "-1", "--targets", "random:1")),
    Case("unknown option", ("--step",), options=("--step", "3")),
    Case("out is a file", ("file exists and is not a run directory",), out="{things}/file"),
    Case("out is foreign", ("name a new or empty folder",), out="{things}/foreign"),
    Case("out is impossible", ("/dev/null/run",), out="/dev/null/run"),
    Case(
        "out is another run",
        ("other holds a run of another configuration", "seed: 0 there, 1 now", "another folder"),
        out="{things}/other",
        options=("--seed", "1"),
    ),
    Case(
        "damaged shard",
        ("000000-00.parquet is damaged", "Delete it and run the same command again"),
        out="{things}/bad-shard",
    ),
    Case("damaged manifest", ("manifest.json is damaged",), out="{things}/bad-manifest"),
    Case("empty manifest", ("manifest.json is damaged",), out="{things}/no-sessions"),
]

CASES = [*DATA_CASES, *MODEL_CASES, *ATTACK_CASES, *OPTION_CASES]


def complain(shell: Shell, words: list[str], says: Sequence[str]) -> None:
    """Runs a command that must be refused with one message of these words."""
    outcome = shell(*words)
    assert outcome.code == 2
    assert outcome.output == ""
    assert "Traceback" not in outcome.errors
    assert re.match(r"error: |Usage: |Error: ", outcome.message), outcome.message
    assert len(re.findall(r"\berror: ", outcome.message, re.IGNORECASE)) == 1, outcome.message
    for words_said in says:
        assert words_said in outcome.message
    assert len(outcome.message) < 1500


@pytest.fixture
def elsewhere(tmp_path: Path, things: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder and cache; modules are found among the bad things."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINNORM_CACHE", str(tmp_path))
    monkeypatch.syspath_prepend(str(things))


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_evaluation_is_refused(
    case: Case, shell: Shell, things: Path, tmp_path: Path
) -> None:
    out = f"{tmp_path}/out" if case.out == "{things}/new" else case.out
    complain(shell, case._replace(out=out).words(things), case.says)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("dropout.pt2", ("in training mode", "Export or load it in evaluation mode")),
        ("static.pt2", ("dynamic batch size", "dynamic_shapes")),
    ],
)
def test_an_exported_program_that_cannot_be_evaluated_is_refused(
    program: str, says: tuple[str, ...], shell: Shell, tmp_path: Path
) -> None:
    _programs(tmp_path)
    model, out = f"{tmp_path}/{program}", f"{tmp_path}/out"
    case = Case(program, says, model=model, out=out, options=("--trust",))
    complain(shell, case.words(tmp_path), says)


def test_a_pickle_does_not_run_unless_it_is_trusted(
    shell: Shell, things: Path, tmp_path: Path
) -> None:
    case = Case("pickle", (), model="{things}/payload.pt + mnist_cnn", out=f"{tmp_path}/out")
    refused, trusted = shell(*case.words(things)), shell(*case.words(things), "--trust")
    assert "the pickle ran" not in refused.output + refused.errors
    assert "the pickle ran" in trusted.output  # hence the test sees it when it does
    assert (refused.code, trusted.code) == (2, 2)  # nothing is no table of weights


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "{things}/gone.yaml"], ("there is no recipe", "gone.yaml")),
        (["train", "mnist-cn"], ("no recipe 'mnist-cn'. Did you mean 'mnist-cnn'?",)),
        (
            ["train", "{things}/wrong.yaml"],
            ("wrong.yaml is not a valid recipe", "no setting 'epoch'. Did you mean 'epochs'?"),
        ),
        (["train", "{things}/list.yaml"], ("list.yaml is not a recipe: expected keys",)),
        (["train", "{things}/broken.yaml"], ("broken.yaml or a setting cannot be read as YAML",)),
        (["train", "mnist-cnn", "--set", "epochs"], ("setting 'epochs': write key=value",)),
        (["train", "mnist-cnn", "--set", "epochs=many"], ("epochs: Input should be",)),
        (["train", "mnist-cnn", "--set", "epochs.x=1"], ("'epochs' is a value",)),
        (["train", "mnist-cnn", "--set", "epochs=["], ("a setting cannot be read as YAML",)),
        (["train"], ("Missing argument 'recipe'",)),
        (["data", "fetch", "mnits"], ("'mnits'. Did you mean 'mnist'?",)),
        (["evaluate"], ("Missing argument 'model'",)),
        (["evaluate", MODEL], ("Missing argument 'data'",)),
        (["evalaute"], ("No such command 'evalaute'",)),
        (["demo", "--device", "banana"], ("cannot use the device 'banana'",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("elsewhere")
def test_other_bad_commands_are_refused(
    words: list[str], says: tuple[str, ...], shell: Shell, things: Path
) -> None:
    complain(shell, [word.replace("{things}", str(things)) for word in words], says)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name in ("NaN", "factory raises", "batch size 0", "steps=0")],
    ids=lambda case: case.name,
)
def test_a_process_of_its_own_says_the_same(case: Case, things: Path, tmp_path: Path) -> None:
    words = case._replace(out=f"{tmp_path}/out").words(things)
    done = subprocess.run(
        [sys.executable, "-m", "minnorm", *words],
        cwd=TESTS, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(re.findall(r"\berror: ", done.stderr, re.IGNORECASE)) == 1
    for words_said in case.says:
        assert words_said in " ".join(done.stderr.split())


def test_probabilities_instead_of_logits_are_a_warning(shell: Shell, tmp_path: Path) -> None:
    model = f"{TINY}:says(kind='probabilities')"
    outcome = shell("evaluate", model, DATA, "--attack", ATTACK, "--out", str(tmp_path / "out"))
    assert outcome.code == 0
    assert "outputs look like probabilities" in outcome.message
    assert "Leave the softmax out" in outcome.message
    assert ATTACK in outcome.output


def test_the_good_evaluation_is_good(shell: Shell, things: Path, tmp_path: Path) -> None:
    """The one of which each bad one differs in one thing."""
    for data in (DATA, "{things}/good.npz"):
        case = Case("good", (), data=data, out=f"{tmp_path}/{len(data)}")
        outcome = shell(*case.words(things))
        assert (outcome.code, outcome.message) == (0, "")


def test_debug_shows_where_an_error_comes_from(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINNORM_DEBUG", "")  # so that it is put back in the end
    words = ["evaluate", "banana", DATA, "--attack", ATTACK, "--out", str(tmp_path / "out")]
    assert "Traceback" not in shell(*words).errors
    outcome = shell("--debug", *words)
    assert outcome.code == 2
    assert "Traceback" in outcome.errors
    assert "cannot read 'banana' as a model" in outcome.message


def test_an_interruption_says_how_to_go_on(shell: Shell, tmp_path: Path) -> None:
    model = f"{TINY}:interrupted"
    outcome = shell("evaluate", model, DATA, "--attack", ATTACK, "--out", str(tmp_path / "out"))
    assert outcome.code == 130
    assert "interrupted: the same command goes on" in outcome.message
