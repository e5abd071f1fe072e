"""Small servers of models, each a few lines of `http.server` in a thread."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answer = tuple[int, dict[str, str], bytes]
"""The status, the headers and the content of an answer."""


@dataclass
class Server:
    """A running server.

    Attributes:
        address: Its address.
        requests: The samples in each request, and its headers.
    """

    address: str
    requests: list[tuple[int, dict[str, str]]] = field(default_factory=list)


def classes_of(inputs: NDArray[Any]) -> list[int]:
    """Return class 1 for samples whose mean is above a half, else 0."""
    return [int(one) for one in inputs.reshape(len(inputs), -1).mean(1) > 0.5]


def as_json(content: object) -> Answer:
    """Return the answer that everything is well."""
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


@contextmanager
def serving(
    answer: Callable[[NDArray[Any], int], Answer] | None = None, port: int = 0, pause: float = 0
) -> Iterator[Server]:
    """Serve a model on this machine.

    Args:
        answer: Makes the answer from the inputs and the number of the request; by default it holds
            the classes.
        port: The port; 0 for any that is free.
        pause: The seconds between the bytes of an answer; 0 to send it whole.
    """
    make = answer or (lambda inputs, _: as_json({"classes": classes_of(inputs)}))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            inputs = np.load(io.BytesIO(content), allow_pickle=False)
            found.requests.append((len(inputs), dict(self.headers)))
            status, headers, body = make(inputs, len(found.requests))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for start in range(0, len(body), 1 if pause else max(len(body), 1)):
                self.wfile.write(body[start : start + 1] if pause else body)
                time.sleep(pause)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # a client that does not wait any more

    server = Quiet(("127.0.0.1", port), Handler)
    found = Server(f"http://127.0.0.1:{server.server_port}/predict")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
