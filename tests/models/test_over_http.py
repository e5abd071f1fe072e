import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from numpy.typing import NDArray

import minnorm
from minnorm.access import access_of
from minnorm.errors import InputError
from minnorm.models import fingerprint, over_http
from models.http_servers import Answer, as_json, classes_of, serving

INPUTS = torch.tensor([0.9, 0.1, 0.6, 0.4, 0.7]).view(5, 1, 1, 1).expand(5, 1, 2, 2)


def test_it_sends_batches_and_returns_one_hot_rows() -> None:
    with serving() as server:
        model = over_http(server.address, 3, batch_size=2)
        rows = model(INPUTS)
        assert access_of(model) == "decisions"
        assert rows.dtype == torch.float32
        assert rows.argmax(1).tolist() == [1, 0, 1, 0, 1]
        assert torch.equal(rows.sum(1), torch.ones(5))
        assert rows.shape == (5, 3)
        assert [samples for samples, _ in server.requests] == [2, 2, 1]
        assert (model.requests, model.samples) == (3, 5)
        assert server.requests[0][1]["Content-Type"] == "application/x-npy"


def test_null_is_no_class() -> None:
    with serving(lambda inputs, _: as_json({"classes": [None] * len(inputs)})) as server:
        assert over_http(server.address, 2)(INPUTS).isnan().all()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_called_again(status: int) -> None:
    def answer(inputs: NDArray[Any], number: int) -> Answer:
        if number <= 2:
            return status, {"Retry-After": "0"}, b"busy"
        return as_json({"classes": classes_of(inputs)})

    with serving(answer) as server:
        model = over_http(server.address, 2, retries=2, backoff=30)
        assert model(INPUTS).argmax(1).tolist() == [1, 0, 1, 0, 1]
        assert len(server.requests) == 3
        assert (model.requests, model.samples) == (1, 5)


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    def answer(inputs: NDArray[Any], number: int) -> Answer:
        whole = as_json({"classes": classes_of(inputs)})
        return whole if number > 1 else (200, {"Content-Length": "999"}, b'{"classes": [')

    with serving(answer) as server:
        model = over_http(server.address, 2, backoff=0)
        assert model(INPUTS).argmax(1).tolist() == classes_of(INPUTS.numpy())
        assert (model.requests, len(server.requests)) == (1, 2)


def test_a_token_is_not_shown_without_its_scheme_either() -> None:
    with serving(lambda *_: (401, {}, b"hidden-token is wrong, hidden-token-2 too")) as server:
        headers = {"Authorization": "Bearer hidden-token", "X-Key": "hidden-token-2"}
        with pytest.raises(InputError, match=r"401 \(\.\.\. is wrong, \.\.\. too\)"):
            over_http(server.address, 2, headers=headers)(INPUTS)


def test_waits_double_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with serving(lambda *_: (503, {}, b"")) as server:
        model = over_http(server.address, 2, retries=9, backoff=0.5)
        with pytest.raises(InputError, match="does not answer, after 10 tries: status 503"):
            model(INPUTS)
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_server_that_is_gone_or_slow_is_said_to_be_so() -> None:
    with serving() as server:
        pass
    model = over_http(server.address, 2, retries=1, backoff=0)
    with pytest.raises(InputError, match=r"does not answer, after 2 tries: Connection.*continues"):
        model(INPUTS)

    def slow(inputs: NDArray[Any], _: int) -> Answer:
        time.sleep(0.5)
        return as_json({"classes": classes_of(inputs)})

    with serving(slow) as server:
        model = over_http(server.address, 2, timeout=0.1, retries=0)
        with pytest.raises(InputError, match="after 1 tries: TimeoutError"):
            model(INPUTS)


def test_an_answer_that_comes_byte_by_byte_has_to_end_in_time() -> None:
    with serving(pause=0.02) as server:
        model = over_http(server.address, 2, timeout=0.15, retries=0)
        with pytest.raises(InputError, match="after 1 tries: TimeoutError: timed out"):
            model(INPUTS)
        patient = over_http(server.address, 2, timeout=30, retries=0)
        assert patient(INPUTS).argmax(1).tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "sent no JSON"),
        (b"[" * 5000, "sent more than"),
        (b"[" * 4000, "sent no JSON"),
        (b'{"classes": 1}', "sent no list of classes"),
        (b"[1, 0, 1, 0, 1]", "sent no list of classes"),
        (b'{"classes": [1, 0]}', "sent 2 classes"),
        (b'{"classes": [1, 0, 1, 0, 2]}', "sent 2 as a class"),
        (b'{"classes": [1, 0, 1, 0, -1]}', "sent -1 as a class"),
        (b'{"classes": [1, 0, 1, 0, 1.0]}', "sent a float as a class"),
        (b'{"classes": [1, 0, 1, 0, true]}', "sent a bool as a class"),
        (b'{"classes": [1, 0, 1, 0, "cat"]}', "sent a str as a class"),
    ],
)
def test_nothing_but_classes_is_taken(content: bytes, message: str) -> None:
    with serving(lambda *_: (200, {}, content)) as server:
        model = over_http(server.address, 2)
        with pytest.raises(InputError, match=message):
            model(INPUTS)
        assert len(server.requests) == 1


def test_a_refusal_is_not_repeated_and_its_text_is_shown() -> None:
    with serving(lambda *_: (400, {}, b"expected\x1b 3 channels")) as server:
        with pytest.raises(InputError, match=r"status 400 \(expected 3 channels\)\. Check"):
            over_http(server.address, 2)(INPUTS)
        assert len(server.requests) == 1


def test_redirections_are_not_followed() -> None:
    with serving() as other:
        for status in (302, 307):
            place = {"Location": other.address + "?token=1"}
            with (
                serving(lambda *_, to=place, code=status: (code, to, b"")) as server,
                pytest.raises(InputError, match=r"redirects to http://127[^?]*, which is not"),
            ):
                over_http(server.address, 2)(INPUTS)
        assert other.requests == []


def test_secrets_are_sent_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KEYS", "X-Token: hidden-token\nX-Other: hidden-other")
    data = (INPUTS.numpy(), [1, 0, 1, 0, 1])
    with serving() as server:
        place = server.address.removeprefix("http://")
        spec = f"http://hidden-user:hidden-pass@{place}?key=hidden-key(classes=2, headers=KEYS)"
        minnorm.evaluate(spec, data, "decision_pursuit(budget=3)", out=tmp_path / "run")
        headers = server.requests[0][1]
        assert headers["X-Token"] == "hidden-token"
        assert headers["Authorization"].startswith("Basic ")
        manifest = (tmp_path / "run" / "manifest.json").read_text()
        assert json.loads(manifest)["configuration"]["model"] == server.address
    texts = [manifest, repr(minnorm.load_model(spec)), caplog.text]
    with serving(lambda *_: (400, {}, b"hidden-key hidden-pass hidden-token")) as server:
        place = server.address.removeprefix("http://")
        spec = f"http://hidden-user:hidden-pass@{place}?key=hidden-key(classes=2, headers=KEYS)"
        for wrong in (spec, spec.replace("classes=2", "clases=2"), spec[:-1], spec + "[:3]"):
            with pytest.raises(InputError) as error:
                minnorm.load_model(wrong)(INPUTS)
            texts.append(str(error.value))
        with pytest.raises(InputError) as error:
            minnorm.evaluate(spec, data, "ddn")
        texts.append(str(error.value))
    assert [text for text in texts if "hidden" in text] == []


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/x",
        "http://",
        "http://host:port/x",
        "http://user:pass/word@host/x",
        "http://user:pass?word@host/x",
        "http://host/a b",
        "http://host/é",
    ],
)
def test_wrong_addresses_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="no address of a model") as error:
        over_http(address, 2)
    assert "pass" not in str(error.value).partition("write")[0]


def test_wrong_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"needs the number of classes: write http://h/p\(classes"):
        minnorm.load_model("http://h/p")
    with pytest.raises(InputError, match="no such environment variable"):
        minnorm.load_model("http://h/p(classes=2, headers=NOT_SET)")
    monkeypatch.setenv("BAD", "no header")
    with pytest.raises(InputError, match="expected a name and a text"):
        minnorm.load_model("http://h/p(classes=2, headers=BAD)")
    with pytest.raises(InputError, match="classes"):
        over_http("http://h/p", 1)


def test_the_fingerprint_knows_address_and_classes_and_no_header() -> None:
    one = over_http("http://h/p", 2, headers={"A": "1"})
    assert fingerprint(one) == fingerprint(over_http("http://u:p@h/p?q=1", 2, batch_size=3))
    assert fingerprint(one) != fingerprint(over_http("http://h/p", 3))
    assert fingerprint(one) != fingerprint(over_http("http://h/other", 2))


def test_a_run_continues_when_the_server_is_back(tmp_path: Path) -> None:
    data = (INPUTS.numpy(), [1, 0, 1, 0, 1])
    attack, arguments = "decision_pursuit(budget=20)", "(classes=2, retries=0)"

    def failing(inputs: NDArray[Any], number: int) -> Answer:
        return (503, {}, b"") if number > 50 else as_json({"classes": classes_of(inputs)})

    with serving(failing) as server:
        spec = server.address + arguments
        port = int(server.address.split(":")[2].split("/")[0])
        with pytest.raises(InputError, match=r"does not answer.*continues"):
            minnorm.evaluate(spec, data, attack, out=tmp_path / "run", batch_size=1)
    with serving(port=port) as server:
        found = minnorm.evaluate(spec, data, attack, out=tmp_path / "run", batch_size=1)
        seconds = len(server.requests)
        whole = minnorm.evaluate(spec, data, attack, batch_size=1)
        assert seconds < len(server.requests) - seconds
    assert found.records.column("l2").to_pylist() == whole.records.column("l2").to_pylist()


def test_a_server_with_another_model_does_not_continue_a_run(tmp_path: Path) -> None:
    data = (INPUTS.numpy(), [1, 0, 1, 0, 1])
    attack = "decision_pursuit(budget=3)"
    with serving() as server:
        port = int(server.address.split(":")[2].split("/")[0])
        spec = f"{server.address}(classes=2)"
        minnorm.evaluate(spec, data, attack, out=tmp_path / "run")
    with (
        serving(lambda inputs, _: as_json({"classes": [1] * len(inputs)}), port) as server,
        pytest.raises(InputError, match="the model's logits of the first samples differ"),
    ):
        minnorm.evaluate(spec, data, attack, out=tmp_path / "run")
