"""A model behind HTTP: it gets arrays, and answers with classes.

A request is a POST whose body is one array in the format `.npy` of NumPy, `[b *d]`, of float32 (of
float64 for a model in float64). Its answer is JSON, `{"classes": [3, 7, ...]}`: the number of the
class of each sample, `null` for no class. Nothing else of an answer is used.
"""

import http.client
import io
import json
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minnorm import factories, specs
from minnorm.checks import check_count, check_number
from minnorm.errors import InputError, one_line
from minnorm.models.addresses import Address, read_address, shown_address
from minnorm.models.outputs import Scores, one_hot_of
from minnorm.models.predict_only import PredictOnly

_BATCH = 64

_FIXED_BYTES, _BYTES_OF_A_CLASS = 4096, 32
"""The largest size of an answer: a fixed part, and one for each sample."""

_LONGEST_WAIT = 60.0
"""The longest time between two tries, in seconds, whatever the server says."""

_SHOWN = 200
"""Characters of the text of an error that a server sends."""

_BUSY = 429
_FIRST_SERVER_ERROR = 500

logger = logging.getLogger(__name__)


def over_http(
    address: str,
    classes: int,
    *,
    batch_size: int = _BATCH,
    timeout: float = 30.0,
    retries: int = 5,
    backoff: float = 0.5,
    headers: Mapping[str, str] | str | None = None,
) -> "HttpModel":
    """Make a classifier of a model behind HTTP, for attacks that read predicted classes only.

    ```python
    model = minnorm.models.over_http("http://localhost:8000/predict", classes=10)
    ```

    Each request is a POST with an array in the format `.npy`, `[b *d]`, float32. The answer is
    JSON: `{"classes": [3, 7, ...]}`, a class for each sample, `null` for no class.

    A request that fails is repeated: if there is no connection, no answer in time, or the status is
    429 or 5xx. The wait between two tries doubles each time, or is what the server says in
    `Retry-After`, a minute at most. Redirections are not followed.

    Args:
        address: `http://` or `https://`, host and path. A user and a password before the host, and
            a query, are sent, and never shown.
        classes: The number of classes.
        batch_size: The most samples in one request.
        timeout: The seconds to wait for a connection, and then for a whole answer.
        retries: How often a request is repeated.
        backoff: The seconds before the first repetition.
        headers: Headers of each request, for example with a token. A text is the name of an
            environment variable that holds them, one in a line: `Authorization: Bearer ...`.

    Returns:
        The classifier. Its attribute `access` is `decisions`; `requests` and `samples` count what
        the server has answered.

    Raises:
        InputError: If an argument is not as described.
    """
    return HttpModel(
        Client(
            read_address(address),
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            headers=_headers(headers),
        ),
        classes=classes,
        batch_size=batch_size,
    )


def load_over_http(spec: str) -> "HttpModel":
    """Return the model of a spec such as `http://localhost:8000/predict(classes=10)`.

    Raises:
        InputError: If the spec cannot be read; the message does not show what may be secret.
    """
    shown = shown_address(spec)
    example = f"{shown}(classes=10)"
    try:
        parsed = specs.parse(spec)
    except InputError:
        parsed = None
    if parsed is None or parsed.part is not None:
        raise InputError(f"cannot read the arguments of {shown}: write {example}.")
    factories.check_arguments(over_http, parsed.arguments, shown, ("address",))
    if "classes" not in parsed.arguments:
        raise InputError(f"{shown} needs the number of classes: write {example}.")
    return over_http(parsed.head, **parsed.arguments)


class HttpModel(PredictOnly):
    """A classifier behind HTTP; see `over_http`."""

    def __init__(self, client: "Client", *, classes: int, batch_size: int) -> None:
        check_count("classes", classes, least=2)
        self._known: dict[Hashable, int] = {number: number for number in range(int(classes))}
        super().__init__(
            self._one_hot,
            "decisions",
            name=client.address.shown,
            identity=f"{client.address.shown}, classes={classes}",
            batch_size=batch_size,
        )
        self._client = client

    @property
    def requests(self) -> int:
        """The number of requests that were answered."""
        return self._client.requests

    @property
    def samples(self) -> int:
        """The number of samples that were classified."""
        return self._client.samples

    def _one_hot(self, inputs: NDArray[Any]) -> Scores:
        classes = self._client.classes(inputs, len(self._known))
        return one_hot_of(np.array(classes, dtype=object), len(inputs), self._known)


class Client:
    """What sends requests, repeats them, and reads the answers.

    Args:
        address: The address.
        timeout, retries, backoff: See `over_http`.
        headers: The headers of each request.

    Attributes:
        address: As given.
        requests: The number of requests that were answered.
        samples: The number of samples that were classified.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float,
        retries: int,
        backoff: float,
        headers: Mapping[str, str],
    ) -> None:
        check_number("timeout", timeout, 0)
        check_count("retries", retries, least=0)
        if backoff != 0:
            check_number("backoff", backoff, 0)
        self.address = address
        self.requests = self.samples = 0
        self._timeout, self._retries, self._backoff = timeout, retries, backoff
        own = {} if address.authorization is None else {"Authorization": address.authorization}
        self._headers = {**own, **headers}
        # A server may repeat a token without the word before it. The longest are replaced first,
        # since one may be a part of another.
        values = self._headers.values()
        tokens = (value.partition(" ")[2] for value in values)
        secrets = (*address.secrets, *values, *tokens)
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        if self._headers and address.url.startswith("http:") and not address.is_local:
            logger.warning("%s: headers are sent without encryption: use https.", address.shown)
        # A proxy knows nothing of servers on this machine.
        proxies = [urllib.request.ProxyHandler({})] if address.is_local else []
        self._opener = urllib.request.build_opener(_NoRedirection, *proxies)

    def classes(self, inputs: NDArray[Any], count: int) -> list[int | None]:
        """Return the class of each sample, `None` for no class.

        Args:
            inputs: The samples.
            count: The number of classes.

        Raises:
            InputError: If the server does not answer, refuses, or answers with something else.
        """
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(inputs), allow_pickle=False)
        answer = self._answer(content.getvalue(), _FIXED_BYTES + _BYTES_OF_A_CLASS * len(inputs))
        found = self._checked(answer, len(inputs), count)
        self.requests += 1
        self.samples += len(inputs)
        return found

    def _answer(self, content: bytes, limit: int) -> bytes:
        """Return the content of the answer, after as many tries as needed."""
        wait = self._backoff
        for number in range(self._retries + 1):
            try:
                return self._post(content, limit)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code != _BUSY and error.code < _FIRST_SERVER_ERROR:
                        raise self._refused(error) from None
                    reason = f"status {error.code}{self._text_of(error)}"
                    asked = _seconds(error.headers.get("Retry-After"))
            except (OSError, http.client.HTTPException) as error:
                inside = getattr(error, "reason", None)
                shown = one_line(inside if isinstance(inside, BaseException) else error)
                reason, asked = self._public(shown), None
            if number < self._retries:
                logger.info("%s: %s; repeated", self.address.shown, reason)
                time.sleep(min(wait if asked is None else asked, _LONGEST_WAIT))
                wait *= 2
        raise InputError(
            f"{self.address.shown} does not answer, after {self._retries + 1} tries: {reason}. "
            "What a run directory holds is kept: run the same again when the server is back, and "
            "it continues."
        )

    def _post(self, content: bytes, limit: int) -> bytes:
        headers = {"Content-Type": "application/x-npy", "Accept": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked
            self.address.url, content, {**headers, **self._headers}, method="POST"
        )
        with self._opener.open(request, timeout=self._timeout) as response:
            answer = self._read(response, limit + 1)
            missing: int | None = response.length
        if len(answer) > limit:
            raise InputError(
                f"{self.address.shown} sent more than {limit:,} bytes; expected a short JSON text, "
                '{"classes": [...]}.'
            )
        if missing:  # the connection was closed in the middle of the answer
            raise http.client.IncompleteRead(answer, missing)
        return answer

    def _read(self, response: http.client.HTTPResponse, limit: int) -> bytes:
        """Return an answer, up to a size; a server may send it in small parts, but not for ever."""
        end = time.monotonic() + self._timeout
        answer = b""
        while len(answer) < limit and (part := response.read1(limit - len(answer))):
            answer += part
            if time.monotonic() > end:
                raise TimeoutError("timed out")
        return answer

    def _refused(self, error: urllib.error.HTTPError) -> InputError:
        if 300 <= error.code < 400:
            place = error.headers.get("Location") or ""
            shown = f" to {shown_address(place)}" if "://" in place else ""
            return InputError(
                f"{self.address.shown} redirects{shown}, which is not followed: name the address "
                "of the model itself."
            )
        return InputError(
            f"{self.address.shown} refused a request with status {error.code}"
            f"{self._text_of(error)}. Check the address, the shape of the inputs, and the headers."
        )

    def _text_of(self, error: urllib.error.HTTPError) -> str:
        """Return the text of an error, to follow after its status."""
        try:
            text = error.read(4 * _SHOWN).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            text = ""
        text = "".join(one if one.isprintable() else " " for one in self._public(text))
        return f" ({' '.join(text.split())[:_SHOWN]})" if text.strip() else ""

    def _public(self, text: str) -> str:
        """Return a text without what is secret."""
        for secret in self._secrets:
            text = text.replace(secret, "...")
        return text

    def _checked(self, answer: bytes, samples: int, count: int) -> list[int | None]:
        """Return the classes in an answer."""
        expected = f'expected JSON, {{"classes": [...]}} with {samples} numbers below {count}'
        try:
            content = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.address.shown} sent no JSON; {expected}.") from error
        found = content.get("classes") if isinstance(content, dict) else None
        if not isinstance(found, list):
            raise InputError(f"{self.address.shown} sent no list of classes; {expected}.")
        if len(found) != samples:
            raise InputError(f"{self.address.shown} sent {len(found)} classes; {expected}.")
        for one in found:
            if one is not None and not (type(one) is int and 0 <= one < count):
                kind = repr(one) if type(one) is int else f"a {type(one).__name__}"
                raise InputError(f"{self.address.shown} sent {kind[:40]} as a class; {expected}.")
        return found


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """Leaves the answer of a redirection as it is: an error."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return no request."""


def _seconds(text: str | None) -> float | None:
    """Return the seconds of `Retry-After`; `None` if it is missing, or a date."""
    return float(text) if text is not None and text.strip().isdecimal() else None


def _headers(given: Mapping[str, str] | str | None) -> dict[str, str]:
    """Return headers, those in an environment variable too.

    Raises:
        InputError: If there is no such variable, or they are no headers; no value is shown.
    """
    if given is None:
        return {}
    if isinstance(given, str):
        content = os.environ.get(given)
        if content is None:
            raise InputError(
                f"headers={given!r}: there is no such environment variable. It must hold headers, "
                "one in a line, for example 'Authorization: Bearer ...'."
            )
        pairs = [line.partition(":")[::2] for line in content.splitlines() if line.strip()]
        given = {name.strip(): value.strip() for name, value in pairs}
    for name, value in given.items():
        named = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]+", name)
        if not named or not isinstance(value, str) or not re.fullmatch(r"[ -~]+", value):
            raise InputError(
                "headers: expected a name and a text in one line for each, for example "
                "{'Authorization': 'Bearer ...'}."
            )
    return dict(given)
