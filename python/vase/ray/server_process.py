"""One server as a child process."""

from __future__ import annotations

import collections
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from vase.ray import tied
from vase.ray.command_line import command_line
from vase.ray.failure import Failure
from vase.ray.settings import Settings

_DRAIN_SECONDS = 40  # vase serve's own 30, and to say so


class ServerProcess:
    """Starts the server, on a port that is free, with a key that nobody else knows. It dies with this process.

    To be made in a thread that lives as long as the process: Linux counts the end of that thread as its death.
    """

    def __init__(self, settings: Settings, host: str) -> None:
        self.key = secrets.token_urlsafe(32)
        self.port = _free_port(host)
        self.url = f"http://{host}:{self.port}"
        self._said: collections.deque[str] = collections.deque(maxlen=20)
        self._keys = _write_keys([self.key, *settings.api_keys, *_keys_of(settings.api_key_file)])
        try:
            command = command_line(settings, host, self.port, str(self._keys))
        except RuntimeError as error:
            raise Failure(f"{error} of each node") from None
        environment = dict(os.environ)
        environment.pop("OMP_NUM_THREADS", None)  # Ray's, for its worker; the server is told by -t
        environment.pop("VASE_API_KEY", None)  # in the file, if it was one for all
        # stderr is where it says why it does not start.
        self._process = subprocess.Popen([sys.executable, tied.__file__, str(os.getpid()), *command], env=environment,
                                         stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.PIPE, text=True,
                                         errors="replace")
        self.name = " ".join(Path(word).name for word in command[:2])
        threading.Thread(target=self._hand_on, daemon=True).start()

    def _hand_on(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.rstrip())
            sys.stderr.write(line)

    @property
    def pid(self) -> int:
        """Of the server itself."""
        return self._process.pid

    def check(self) -> None:
        """Raises Failure, with what the server said last, if it has ended."""
        code = self._process.poll()
        if code is None:
            return
        self._process.wait()
        said = next((line for line in reversed(self._said) if line.strip()), "it said nothing")
        raise Failure(f"{self.name} ended with status {code}: {said}")

    def stop(self) -> None:
        """Lets it answer what it has begun, and ends it."""
        self._process.terminate()
        try:
            self._process.wait(_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._keys.unlink(missing_ok=True)


def _free_port(host: str) -> int:
    # Closed again: the server listens. Who takes it in between makes the server say so, and Ray starts another replica.
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise Failure(f"cannot listen on {host}, this node's address: {error.strerror}") from None
        return probe.getsockname()[1]


def _keys_of(file: str) -> list[str]:
    if not file:
        return []
    try:
        return [line.strip() for line in Path(file).read_text().splitlines() if line.strip()]
    except OSError as error:
        raise Failure(f"api_key_file={file}: {error.strerror} on this node") from None


def _write_keys(keys: list[str]) -> Path:
    """A file that this user alone can read."""
    descriptor, name = tempfile.mkstemp(prefix="vase-keys-")
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(keys) + "\n")
    return Path(name)
