"""The command `minnorm` from a process that has imported PyTorch already: pages have many commands.

A server imports the package once and forks for each command. The command in the `PATH` passes its
words, folder, environment and streams to it, and exits with its exit code.
"""

import array
import importlib
import json
import os
import socket
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLIENT = """#!{python} -SE
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    streams = array.array("i", [0, 1, 2]).tobytes()
    server.sendmsg([b"-"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    request = [sys.argv[1:], os.getcwd(), dict(os.environ)]
    server.sendall(json.dumps(request).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(8) or b"1"))
"""
_STREAMS = 3

_SLOW_TO_IMPORT = ("minnorm.report", "minnorm.training", "minnorm.cli", "torchvision", "matplotlib")


@contextmanager
def command_in(folder: Path) -> Iterator[str]:
    """Make the command `minnorm` in a folder; it works until the context ends.

    Yields:
        The `PATH` with it and the other commands of this environment.
    """
    address = str(folder / "server")
    server = subprocess.Popen([sys.executable, __file__, address], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        command = folder / "minnorm"
        command.write_text(_CLIENT.format(python=sys.executable, address=address))
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        yield os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    finally:
        server.kill()
        server.wait()


def _serve(address: str) -> None:
    """Run the commands of all clients, one after the other, each in a process of its own."""
    for module in _SLOW_TO_IMPORT:
        importlib.import_module(module)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)  # noqa: T201 - for the parent
        while True:
            client, _ = listener.accept()
            with client:
                child = os.fork()
                if child == 0:
                    listener.close()
                    _run(client)
                _, status = os.waitpid(child, 0)
                client.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())


def _run(client: socket.socket) -> None:
    """Run the command of a client in this process, which ends with it."""
    from minnorm.cli import main

    _, messages, *_ = client.recvmsg(1, socket.CMSG_SPACE(_STREAMS * array.array("i").itemsize))
    streams = array.array("i")
    streams.frombytes(messages[0][2])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    # The old objects know what the streams of the server can do.
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115 - open until the process ends
        for number, mode in enumerate(("r", "w", "w"))
    )
    request = b"".join(iter(lambda: client.recv(65536), b""))
    words, folder, environment = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["minnorm", *words]
    sys.path[0] = ""
    code: object = 1
    try:
        main()
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(sys.argv[1])
