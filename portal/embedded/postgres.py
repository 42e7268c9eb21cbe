"""A throw-away PostgreSQL in a folder, from Debian's packages, on a unix socket: for the tests.

What must always hold: it listens on no port; nobody but its user and root reaches its socket. It
gives up durability for speed: never keep anything in it.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg

from portal.domain.errors import NotFound, SnapportError
from portal.embedded.child import Program

SUPERUSER = "postgres"


class PostgresServer:
    """How to run PostgreSQL in a folder that is made for it, and where it answers."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self.log = log
        self.binaries = find_binaries()
        # PostgreSQL refuses to run as root.
        self.user = SUPERUSER if os.geteuid() == 0 else None

    def program(self) -> Program:
        """Make the cluster if there is none; the program to run."""
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
        return Program(
            "postgresql",
            [
                str(self.binaries / "postgres"),
                *("-D", str(self.folder)),
                *("-c", "listen_addresses="),
                *("-c", f"unix_socket_directories={self.folder}"),
                *("-c", "fsync=off"),
                *("-c", "synchronous_commit=off"),
                *("-c", "full_page_writes=off"),
                *("-c", "max_connections=100"),
            ],
            self.log,
            ready=self.answers,
            stop_signal=signal.SIGINT,  # "fast": connections are ended, not waited for
            death_signal=signal.SIGQUIT,
            user=self.user,
        )

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={quote(str(self.folder))}"

    def run(self, statement: str) -> None:
        """One statement outside any transaction (CREATE DATABASE …)."""
        with psycopg.connect(
            host=str(self.folder), user=SUPERUSER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def answers(self) -> bool:
        """Whether it serves."""
        try:
            self.run("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def _initialise(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        done = subprocess.run(  # noqa: S603 - found below, our own arguments
            [
                str(self.binaries / "initdb"),
                *("-D", str(self.folder), "-U", SUPERUSER, "--auth=trust"),
                *("--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
        )
        if done.returncode:
            raise SnapportError(f"initdb failed: {(done.stderr or done.stdout).strip()}")


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`: Debian's newest, else wherever the path leads."""
    versions = [
        path
        for path in Path("/usr/lib/postgresql").glob("*/bin")
        if (path / "initdb").exists() and re.fullmatch(r"\d+", path.parent.name)
    ]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise NotFound("There is no PostgreSQL here: install the package postgresql.")
