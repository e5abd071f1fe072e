"""Models in ONNX files: what they return, what attacks can use of them, and what is refused."""

import copy
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx2pytorch
import pytest
import torch
from onnx import helper
from torch import fx, nn

from minnorm.access import access_of
from minnorm.errors import InputError, MissingFileError, MissingLibraryError
from minnorm.models import PredictOnly, fingerprint, load_model
from minnorm.models.export import export_model
from minnorm.models.onnx_models import OnnxModel
from models.onnx_files import WEIGHTS, linear, save, value

INPUTS = torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
LOGITS = INPUTS @ torch.from_numpy(WEIGHTS)


def _node(kind: str, *names: str, **attributes: Any) -> Any:
    *inputs, output = names
    return helper.make_node(kind, inputs, [output], **attributes)


def _scores(path: Path, suffix: str = "") -> PredictOnly:
    model = load_model(f"{path}({suffix or 'access=scores'})")
    assert isinstance(model, PredictOnly)
    return model


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_copy_has_the_logits_and_gradients_and_onnx_runtime_the_logits(
    dtype: Any, tmp_path: Path
) -> None:
    path = linear(tmp_path / "m.onnx", dtype=dtype)
    model = load_model(str(path))
    assert isinstance(model, OnnxModel)
    assert access_of(model) == "gradients"
    weights = torch.from_numpy(WEIGHTS.astype(dtype))
    inputs = INPUTS.to(weights.dtype).requires_grad_()
    tolerance = 1e-2 if dtype is np.float16 else 1e-5
    for found in (model(inputs), _scores(path)(inputs)):
        torch.testing.assert_close(
            found.to(weights.dtype), inputs @ weights, rtol=tolerance, atol=tolerance
        )
    (gradients,) = torch.autograd.grad(model(inputs)[:, 1].sum(), inputs)
    torch.testing.assert_close(gradients, weights[:, 1].expand(5, 6))
    assert access_of(_scores(path)) == "scores"
    kinds = {one.dtype for one in (*model.state_dict().values(), *_scores(path).buffers())}
    assert kinds == {weights.dtype}


@pytest.mark.parametrize(
    "last",
    [
        [_node("Softmax", "logits", "p", axis=1)],
        [_node("Softmax", "logits", "p")],
        [_node("Sigmoid", "logits", "p")],
        [_node("Softmax", "logits", "q"), _node("Identity", "q", "p")],
        [_node("Softmax", "logits", "q"), _node("Cast", "q", "p", to=1)],
    ],
)
def test_a_softmax_or_sigmoid_at_the_end_is_left_out(
    last: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = linear(tmp_path / "m.onnx", *last)
    with caplog.at_level(logging.INFO):
        models = [load_model(str(path)), _scores(path)]
    for model in models:
        torch.testing.assert_close(model(INPUTS), LOGITS)
    assert f"its last layer, {last[0].op_type}, is left out: attacks use the logits" in caplog.text


def test_the_class_alone_is_traced_back_to_its_scores(tmp_path: Path) -> None:
    last = [_node("Softmax", "logits", "p"), _node("ArgMax", "p", "c", axis=1, keepdims=0)]
    path = linear(tmp_path / "m.onnx", *last, output=value("c", np.int64, ["batch"]))
    torch.testing.assert_close(load_model(str(path))(INPUTS), LOGITS)


def test_other_probabilities_become_logarithms(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = [
        _node("Exp", "inputs", "e"),
        _node("ReduceSum", "e", "axes", "rows", keepdims=1),
        _node("Div", "e", "rows", "p"),
    ]
    path = save(
        tmp_path / "m.onnx",
        nodes,
        {"axes": np.array([1])},
        [value("inputs", np.float32, [None, 6])],
        [value("p", np.float32, [None, 6])],
    )
    with caplog.at_level(logging.INFO):
        models = [load_model(str(path)), _scores(path)]
    assert isinstance(models[0], OnnxModel)
    for model in models:
        torch.testing.assert_close(model(INPUTS), INPUTS.log_softmax(1))
    assert "its probabilities become logarithms" in caplog.text


@pytest.mark.parametrize("squeezed", [False, True])
def test_one_number_with_a_sigmoid_is_class_1_of_two(squeezed: bool, tmp_path: Path) -> None:
    last = [_node("Sigmoid", "logits", "p")]
    if squeezed:
        last.append(_node("Squeeze", "p", "axes", "flat"))
    weights = {"weights": WEIGHTS[:, :1], "axes": np.array([1])}
    path = save(
        tmp_path / "m.onnx",
        [_node("MatMul", "inputs", "weights", "logits"), *last],
        weights,
        [value("inputs", np.float32, ["batch", 6])],
        [value(last[-1].output[0], np.float32, None)],
    )
    expected = nn.functional.pad(LOGITS[:, :1], (1, 0))
    for model in (load_model(str(path)), _scores(path)):
        torch.testing.assert_close(model(INPUTS), expected)


def test_one_number_without_a_sigmoid_is_refused(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx", weights=WEIGHTS[:, :1])
    with pytest.raises(InputError, match=r"returns one number for each input.*predict_only"):
        load_model(str(path))


def _tree(path: Path, *, maps: bool) -> Path:
    """Write a tree of scikit-learn's converter: the label, and probabilities of two classes."""
    tree = helper.make_node(
        "TreeEnsembleClassifier",
        ["inputs"],
        ["label", "p"],
        domain="ai.onnx.ml",
        class_ids=[0, 1, 0, 1],
        class_nodeids=[1, 1, 2, 2],
        class_treeids=[0, 0, 0, 0],
        class_weights=[0.75, 0.25, 0.0, 1.0],
        classlabels_int64s=[0, 1],
        nodes_falsenodeids=[2, 0, 0],
        nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_nodeids=[0, 1, 2],
        nodes_treeids=[0, 0, 0],
        nodes_truenodeids=[1, 0, 0],
        nodes_values=[0.5, 0.0, 0.0],
        post_transform="NONE",
    )
    nodes, scores = [tree], value("p", np.float32, [None, 2])
    if maps:
        nodes.append(
            helper.make_node(
                "ZipMap", ["p"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]
            )
        )
        kind = helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, []))
        scores = helper.make_value_info("maps", helper.make_sequence_type_proto(kind))
    outputs = [value("label", np.int64, [None]), scores]
    return save(path, nodes, {}, [value("inputs", np.float32, [None, 6])], outputs)


@pytest.mark.parametrize("maps", [False, True])
def test_a_label_and_probabilities_as_scikit_learn_is_converted_offer_scores(
    maps: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _tree(tmp_path / "tree.onnx", maps=maps)
    model = load_model(str(path))
    assert access_of(model) == "scores"
    assert "attacks can use its scores, not gradients: onnx2pytorch cannot convert" in caplog.text
    with pytest.raises(InputError, match=r"tree.onnx has no gradients: onnx2pytorch cannot con"):
        load_model(f"{path}(access=gradients)")
    found = model(torch.tensor([[0.4] * 6, [0.6] * 6])).exp()
    torch.testing.assert_close(found, torch.tensor([[0.75, 0.25], [0.0, 1.0]]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("batch", [1, 2, 20])
@pytest.mark.parametrize("baked", [False, True])
def test_a_file_for_batches_of_one_size_takes_any(batch: int, baked: bool, tmp_path: Path) -> None:
    """A baked batch size, in a reshape, makes the copy in PyTorch take no other either."""
    path = tmp_path / "m.onnx"
    if baked:
        save(
            path,
            [
                _node("Reshape", "inputs", "sizes", "rows"),
                _node("MatMul", "rows", "weights", "logits"),
            ],
            {"weights": WEIGHTS, "sizes": np.array([batch, 6])},
            [value("inputs", np.float32, [batch, 2, 3])],
            [value("logits", np.float32, [batch, 4])],
        )
    else:
        linear(path, shape=(batch, 6))
    for model in (load_model(str(path)), _scores(path)):
        for count in (5, 1):
            given = INPUTS[:count].reshape(-1, 2, 3) if baked else INPUTS[:count]
            torch.testing.assert_close(model(given), LOGITS[:count])
    assert isinstance(load_model(str(path)), OnnxModel)


def test_inputs_are_flattened_or_get_their_channels_last_as_the_file_takes_them(
    tmp_path: Path,
) -> None:
    flat = linear(tmp_path / "flat.onnx")
    images = INPUTS.reshape(5, 3, 2, 1)
    last = save(
        tmp_path / "last.onnx",
        [_node("Flatten", "inputs", "rows"), _node("MatMul", "rows", "weights", "logits")],
        {"weights": WEIGHTS},
        [value("inputs", np.float32, ["batch", 2, 1, 3])],
        [value("logits", np.float32, ["batch", 4])],
    )
    for path, expected in (
        (flat, LOGITS),
        (last, images.permute(0, 2, 3, 1).flatten(1) @ torch.from_numpy(WEIGHTS)),
    ):
        for model in (load_model(str(path)), _scores(path)):
            torch.testing.assert_close(model(images), expected)
            with pytest.raises(InputError, match=r"takes inputs of shape \[any, .*; got \[5, 7\]"):
                model(torch.zeros(5, 7))


def test_an_empty_batch_has_no_logits(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx")
    for model in (load_model(str(path)), _scores(path)):
        assert model(INPUTS[:0]).shape == (0, 4)


def test_a_file_that_states_no_sizes_is_compared_with_its_first_inputs(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx", shape=("batch", "features"))
    torch.testing.assert_close(load_model(str(path))(INPUTS), LOGITS)
    model = load_model(str(path))
    for weights in (*model.parameters(), *model.buffers()):
        weights.data.mul_(1.001)
    with pytest.raises(InputError, match=r"outputs differ .* by its scores: 'm.onnx\(access=scor"):
        model(INPUTS)


def test_a_copy_that_was_compared_is_independent_of_onnx_runtime(tmp_path: Path) -> None:
    model = load_model(str(linear(tmp_path / "m.onnx")))
    other = copy.deepcopy(model)
    for one in (model, other):
        torch.testing.assert_close(one(INPUTS), LOGITS)
        for weights in (*one.parameters(), *one.buffers()):
            weights.data.mul_(2)
        torch.testing.assert_close(one(INPUTS), 2 * LOGITS)


class Wrong(nn.Module):
    """A conversion that is wrong."""

    def __init__(self, _: Any) -> None:
        super().__init__()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs[:, :4]


def test_a_copy_with_other_outputs_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = linear(tmp_path / "m.onnx")
    monkeypatch.setattr(onnx2pytorch, "ConvertModel", Wrong)
    torch.testing.assert_close(load_model(str(path))(INPUTS), LOGITS)
    assert "not gradients: its outputs differ from those of ONNX Runtime by up to" in caplog.text
    monkeypatch.setattr(Wrong, "forward", lambda _, inputs: inputs)
    assert access_of(load_model(str(path))) == "scores"
    assert r"it returns shape [8, 6], ONNX Runtime [8, 4]" in caplog.text


@pytest.mark.parametrize("mask", [-1e9, -np.inf])
def test_a_masked_class_does_not_hide_that_a_copy_is_wrong(
    mask: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    nodes = [_node("MatMul", "inputs", "weights", "all"), _node("Add", "all", "mask", "logits")]
    values = {"weights": WEIGHTS, "mask": np.array([0, 0, 0, mask], np.float32)}
    given = [value("inputs", np.float32, ["batch", 6])], [value("logits", np.float32, ["batch", 4])]
    path = str(save(tmp_path / "m.onnx", nodes, values, *given))
    assert access_of(load_model(path)) == "gradients"
    wrong = torch.from_numpy(1.01 * WEIGHTS)
    monkeypatch.setattr(onnx2pytorch, "ConvertModel", Wrong)
    monkeypatch.setattr(
        Wrong, "forward", lambda _, inputs: inputs @ wrong + torch.from_numpy(values["mask"])
    )
    assert access_of(load_model(path)) == "scores"
    assert "its outputs differ from those of ONNX Runtime by up to 0.0" in caplog.text
    monkeypatch.setattr(Wrong, "forward", lambda _, inputs: inputs.detach())
    assert access_of(load_model(str(path))) == "scores"
    assert "its copy in PyTorch fails" in caplog.text


def _after(path: Path, *first: Any) -> Path:
    """Write the linear classifier after other nodes, of which the last one makes `rounded`."""
    nodes = [*first, _node("MatMul", "rounded", "weights", "logits")]
    inputs = [value("inputs", np.float32, ["batch", 6])]
    outputs = [value("logits", np.float32, ["batch", 4])]
    return save(path, nodes, {"weights": WEIGHTS}, inputs, outputs)


def test_a_dynamically_quantized_file_offers_scores_that_do_not_depend_on_the_batch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quantize = helper.make_node("DynamicQuantizeLinear", ["inputs"], ["q", "scale", "zero"])
    path = _after(
        tmp_path / "m.onnx", quantize, _node("DequantizeLinear", "q", "scale", "zero", "rounded")
    )
    model = load_model(str(path))
    assert access_of(model) == "scores"
    assert "it is quantized (DynamicQuantizeLinear)" in caplog.text
    sizes = torch.tensor([[1.0], [0.1], [0.3], [0.01], [0.5]])
    alone = torch.cat([model(sample.unsqueeze(0)) for sample in sizes * INPUTS])
    assert torch.equal(model(sizes * INPUTS), alone)


def test_a_file_that_rounds_offers_scores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = load_model(str(_after(tmp_path / "m.onnx", _node("Round", "inputs", "rounded"))))
    assert access_of(model) == "scores"
    assert "its gradients are zero, as after a step that rounds" in caplog.text


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_the_libraries_are_named_if_they_are_missing(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = linear(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibraryError, match=rf"needs {library}: .*minnorm\[onnx\]"):
        load_model(str(path))


def test_without_the_converter_attacks_can_use_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = linear(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnx2pytorch", None)
    torch.testing.assert_close(load_model(str(path))(INPUTS), LOGITS)
    assert "onnx2pytorch is not installed" in caplog.text


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["inputs:uint8"], ["logits"], r"takes inputs of type uint8; .* 8-bit images that it sc"),
        (["inputs:int64"], ["logits"], "takes inputs of type int64; expected floating-point"),
        (["inputs", "mask"], ["logits"], r"has 2 inputs \(inputs, mask\); expected one"),
        ([], ["logits"], r"has 0 inputs \(none\)"),
        (["inputs"], ["logits", "other"], r"has 2 outputs \(logits, other\); .*output=logits\)'"),
        (["inputs"], ["class:int64"], "'class' .* holds no scores, only classes"),
    ],
)
def test_other_graphs_are_refused(
    inputs: list[str], outputs: list[str], message: str, tmp_path: Path
) -> None:
    def values(names: list[str], size: int) -> list[Any]:
        parts = [name.partition(":") for name in names]
        return [value(name, kind or "float32", ["batch", size]) for name, _, kind in parts]

    nodes = [
        _node("Cast", "inputs" if inputs else "weights", "given", to=1),
        _node("MatMul", "given", "weights", "logits"),
        _node("Identity", "logits", "other"),
        _node("NonZero", "logits", "class"),
    ]
    path = save(
        tmp_path / "m.onnx", nodes, {"weights": WEIGHTS}, values(inputs, 6), values(outputs, 4)
    )
    with pytest.raises(InputError, match=message):
        load_model(str(path))


def test_an_output_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx",
        [_node("MatMul", "inputs", "weights", "one"), _node("Neg", "one", "other")],
        {"weights": WEIGHTS},
        [value("inputs", np.float32, ["batch", 6])],
        [value(name, np.float32, ["batch", 4]) for name in ("one", "other")],
    )
    for name, expected in (("one", LOGITS), ("other", -LOGITS)):
        torch.testing.assert_close(load_model(f"{path}(output={name})")(INPUTS), expected)
    with pytest.raises(InputError, match=r"unknown output 'two' of .*Available: one, other"):
        load_model(f"{path}(output=two)")
    with pytest.raises(InputError, match=r"unknown parameter 'outputs' .*Did you mean 'output'"):
        load_model(f"{path}(outputs=one)")
    with pytest.raises(InputError, match="access='decisions': expected one of 'gradients', 'sco"):
        load_model(f"{path}(access=decisions)")


def test_damaged_and_unknown_files_are_refused(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read as ONNX"):
        load_model(str(path))
    path = linear(tmp_path / "m.onnx", helper.make_node("Own", ["logits"], ["o"], domain="my.ops"))
    with pytest.raises(InputError, match=r"ONNX Runtime cannot run m.onnx: .*my\.ops"):
        load_model(str(path))
    path = save(
        tmp_path / "m.onnx",
        [_node("ReduceSum", "inputs", "sum")],
        {},
        [value("inputs", np.float32, ["batch", 6])],
        [value("sum", np.float32, None)],
    )
    with pytest.raises(InputError, match=r"returned an output of shape \[1, 1\] for 8 inputs"):
        load_model(str(path))


def _with_external_weights(folder: Path, location: str) -> Path:
    path = linear(folder / "m.onnx")
    proto = onnx.load(str(path))
    onnx.save_model(
        proto, str(path), save_as_external_data=True, size_threshold=0, location="weights.bin"
    )
    proto = onnx.load(str(path), load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(proto.SerializeToString())
    return path


def test_weights_beside_the_file_are_read_and_count_in_the_fingerprint(tmp_path: Path) -> None:
    path = _with_external_weights(tmp_path, "weights.bin")
    found = []
    for factor in (1, 2):
        (tmp_path / "weights.bin").write_bytes((factor * WEIGHTS).tobytes())
        model = _scores(path)
        torch.testing.assert_close(model(INPUTS), factor * LOGITS)
        found.append(fingerprint(model))
    assert found[0] != found[1]
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(MissingFileError, match=r"keeps its weights in 'weights.bin'"):
        load_model(str(path))


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "link.bin"])
def test_weights_outside_of_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    path = _with_external_weights(folder, location)
    with pytest.raises(InputError, match="names a file outside of its folder"):
        load_model(str(path))


def test_functions_of_the_file_are_inlined(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx", helper.make_node("Twice", ["logits"], ["o"], domain="own"))
    proto = onnx.load(str(path))
    opsets = [helper.make_opsetid("", 18)]
    twice = helper.make_function(
        "own", "Twice", ["x"], ["y"], [_node("Add", "x", "x", "y")], opsets
    )
    proto.functions.append(twice)
    proto.opset_import.append(helper.make_opsetid("own", 1))
    path.write_bytes(proto.SerializeToString())
    torch.testing.assert_close(load_model(str(path))(INPUTS), 2 * LOGITS)


def test_the_fingerprint_is_that_of_the_file(tmp_path: Path) -> None:
    one, other = linear(tmp_path / "a.onnx"), linear(tmp_path / "b.onnx", weights=-WEIGHTS)
    for suffix in ("access=gradients", "access=scores"):
        models = [load_model(f"{path}({suffix})") for path in (one, one, other)]
        found = [fingerprint(model) for model in models]
        assert found[0] == found[1] != found[2]
        assert [getattr(model, "__name__", "") for model in models[::2]] == ["a", "b"]


def test_a_model_that_only_predicts_is_not_exported(tmp_path: Path) -> None:
    model = _scores(linear(tmp_path / "m.onnx"))
    with pytest.raises(InputError, match="can only be predicted: there is no network to export"):
        export_model(model, tmp_path / "m.pt2", INPUTS)


def test_a_file_takes_no_other_arguments_and_no_architecture(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="holds a whole model, not only weights"):
        load_model(f"{path} + mnist_cnn")
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights.pt takes no arguments: remove access"):
        load_model(f"{tmp_path / 'weights.pt'}(access=scores)")


def test_a_network_of_images_consists_of_layers_of_pytorch(tmp_path: Path) -> None:
    kernels = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    path = save(
        tmp_path / "m.onnx",
        [
            _node("Conv", "inputs", "kernels", "c"),
            _node("Relu", "c", "r"),
            _node("MaxPool", "r", "m", kernel_shape=[2, 2], strides=[2, 2]),
            _node("GlobalAveragePool", "m", "logits"),
        ],
        {"kernels": kernels},
        [value("inputs", np.float32, ["batch", 3, 6, 6])],
        [value("logits", np.float32, ["batch", 4, 1, 1])],
    )
    model = load_model(str(path))
    images = torch.rand(3, 3, 6, 6)
    maps = nn.functional.conv2d(images, torch.from_numpy(kernels)).relu()
    torch.testing.assert_close(model(images), nn.functional.max_pool2d(maps, 2).mean((2, 3)))
    assert isinstance(model.network, fx.GraphModule)
    assert sum(isinstance(part, nn.Conv2d) for part in model.modules()) == 1
    assert model.input_shape == (3, 6, 6)


def test_values_that_a_graph_inside_of_a_node_uses_are_kept(tmp_path: Path) -> None:
    def branch(kind: str) -> Any:
        output = helper.make_tensor_value_info("chosen", 1, None)
        return helper.make_graph([_node(kind, "inputs", "weights", "chosen")], kind, [], [output])

    nodes = [
        _node("Shape", "inputs", "sizes"),
        _node("Gather", "sizes", "place", "features"),
        _node("Equal", "features", "six", "fits"),
        helper.make_node(
            "If", ["fits"], ["logits"], then_branch=branch("MatMul"), else_branch=branch("Gemm")
        ),
    ]
    path = save(
        tmp_path / "m.onnx",
        [*nodes, _node("Identity", "unused", "other")],
        {
            "weights": WEIGHTS,
            "place": np.array(1),
            "six": np.array(6),
            "unused": np.ones((2, 2), np.float32),
        },
        [value("inputs", np.float32, ["batch", 6])],
        [value("logits", np.float32, ["batch", 4]), value("other", np.float32, [2, 2])],
    )
    model = load_model(f"{path}(access=scores, output=logits)")
    torch.testing.assert_close(model(INPUTS), LOGITS)
