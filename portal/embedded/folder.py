"""The data folder: what stands where in it, its lock, its ports, and what it tells the settings.

What must always hold:
- The lock is held by the supervisor and by every process it starts (they inherit the descriptor),
  so it is free only when nothing of the last instance is alive.
- A port once chosen is kept, as long as it is free at the next start: addresses recorded in the
  database (a store's) go on working.
- Files with secrets are made with mode 0600 before anything is written into them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portal.domain.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOCK_PATIENCE = 5.0
"""Seconds to wait for the processes of an instance that was just killed."""

# Below 32768, where Linux begins to give out ports to outgoing connections: a port from there
# could be in use by a browser at the next start.
FIRST_PORT, LAST_PORT = 20_000, 32_000


class DataFolder:
    """Paths in one data folder; nothing is made before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.notes_path = self.path / "embedded.json"
        self.disks = self.path / "disks"
        self.log = self.path / "log"
        self.swift = self.path / "swift"

    def make(self) -> None:
        """Make the folder, closed to others."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log.mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> int:
        """Take the folder for this process; the descriptor that holds the lock.

        Raises `Conflict` where another instance has it.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
                ending = holder.isdigit() and not Path("/proc", holder).exists()
                if ending and time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                os.close(descriptor)
                if ending:
                    raise Conflict(
                        f"Processes of an instance that ended are still busy in {self.path}."
                    ) from None
                raise Conflict(
                    f"Snapport is already running on the data folder {self.path}"
                    f" (process {holder or 'unknown'})."
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor

    def notes(self) -> dict[str, Any]:
        """What the embedded stack noted for the settings and for its next start."""
        try:
            noted = json.loads(self.notes_path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise Conflict(f"{self.notes_path} is damaged; remove it and start again.") from None
        return noted if isinstance(noted, dict) else {}

    def note(self, values: Mapping[str, Any]) -> None:
        """Add to the notes, all or nothing."""
        write_private(self.notes_path, json.dumps({**self.notes(), **values}, indent=2) + "\n")

    def ports(self, *names: str) -> dict[str, int]:
        """A free port for each name: the one of last time where it is still free."""
        before: dict[str, int] = self.notes().get("ports") or {}
        chosen: dict[str, int] = {}
        spoken_for = set(before.values())
        candidate = first_port(self.path)
        for name in names:
            port = before.get(name)
            while port is None or not port_is_free("127.0.0.1", port):
                while candidate in spoken_for:
                    candidate = candidate + 1 if candidate < LAST_PORT else FIRST_PORT
                port = candidate
                spoken_for.add(port)
            chosen[name] = port
        self.note({"ports": {**before, **chosen}})
        return chosen

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> str:
        """The secret of this name, made at first use."""
        path = self.path / "secrets" / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            write_private(path, make() + "\n")
            return path.read_text().strip()


def first_port(path: Path) -> int:
    """Where the search for ports begins: folders begin at different places."""
    return FIRST_PORT + zlib.crc32(os.fsencode(path.resolve())) % (LAST_PORT - FIRST_PORT)


def port_is_free(address: str, port: int) -> bool:
    """Whether a server could listen there now.

    Without SO_REUSEPORT: with it a second server on the same port starts without an error.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def write_private(path: Path, text: str) -> None:
    """Put a file of mode 0600 in place, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
