"""Addresses of models behind HTTP: what is shown of them, and what stays secret."""

import base64
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from minnorm.errors import InputError

_SCHEMES = ("http", "https")

_BEGINNING = re.compile(rf"\s*(?:{'|'.join(_SCHEMES)})://", re.IGNORECASE)

_EXAMPLE = (
    "write http://HOST:PORT/PATH or https://HOST/PATH, with %40 for @, %2F for / and %3F for ? in "
    "a user or a password"
)

_PLACE = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(:\d+)?")
"""A host with or without a port."""

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


@dataclass(frozen=True)
class Address:
    """The address of a model.

    Attributes:
        url: The whole address, without user and password.
        shown: What messages and manifests show: scheme, host, port and path.
        authorization: The header for user and password; `None` without them.
        is_local: Whether it is this machine.
        secrets: The texts in the address that no message may show.
    """

    url: str
    shown: str
    authorization: str | None
    is_local: bool
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def is_address(text: str) -> bool:
    """Return whether a text is the address of a model, with or without arguments after it."""
    return _BEGINNING.match(text) is not None


def shown_address(text: str) -> str:
    """Return what may be shown of an address: neither user and password nor a query.

    Whatever follows the path, such as the arguments of a spec, is left out as well. Where user and
    password cannot be told from the host, nothing but the scheme is shown.
    """
    scheme, _, rest = text.strip().partition("://")
    authority, slash, path = re.sub(r"[?#].*", "", rest, flags=re.DOTALL).partition("/")
    host = authority.rpartition("@")[2].partition("(")[0]
    path = path.partition("(")[0]
    if not _PLACE.fullmatch(host) or "@" in path:
        return f"{scheme.lower()}://..."
    return f"{scheme.lower()}://{host}{slash}{path}"


def read_address(text: str) -> Address:
    """Read an address.

    Raises:
        InputError: If it is none.
    """
    shown = shown_address(text)
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{shown!r} is no address of a model: {_EXAMPLE}.") from error
    bad = "..." in shown or not re.fullmatch(r"[!-~]+", text.strip())
    if parts.scheme.lower() not in _SCHEMES or not host or bad:
        raise InputError(f"{shown!r} is no address of a model: {_EXAMPLE}.")
    name = f"[{host}]" if ":" in host else host
    place = name if port is None else f"{name}:{port}"
    plain = SplitResult(parts.scheme.lower(), place, parts.path or "/", "", "")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    values = (value for _, value in parse_qsl(parts.query))
    return Address(
        url=urlunsplit(plain._replace(query=parts.query)),
        shown=urlunsplit(plain),
        authorization=_basic(user, password) if user or password else None,
        is_local=_LOOPBACK.fullmatch(host) is not None,
        secrets=tuple(filter(None, (password, parts.password, parts.query, *values, user))),
    )


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
