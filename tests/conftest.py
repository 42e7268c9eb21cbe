"""Real services for the tests, each started when the first test asks for it.

Every fixture that a test may ask for says here what it gives. What must always hold: nothing of
the environment or of a data folder of this machine reaches a test; what one test stores, another
does not see; what was started is ended, even where the test run is killed.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from argon2 import PasswordHasher

from portal.embedded.child import Child, Program, running
from portal.embedded.folder import DataFolder
from portal.embedded.postgres import PostgresServer
from portal.embedded.redis_server import RedisServer
from portal.embedded.swift import SwiftServer
from portal.embedded.swift_config import SwiftOptions
from portal.records.migrate import upgrade
from portal.services import users
from tests.ports import new_folder, new_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, Playwright

CHECKOUT = Path(__file__).resolve().parent.parent
SWIFT_ACCOUNTS = 1000
SWIFT_KEY = "key-of-a-test-account"

pytest_plugins = ["tests.disks.fixtures", "tests.division"]

# What is meant for the tests themselves is named SNAPPORT_TEST_….
for name in [name for name in os.environ if name.startswith("SNAPPORT_")]:
    if not name.startswith("SNAPPORT_TEST_"):
        del os.environ[name]


# -- folders and ports ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder for this run, with a path short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="snapport-"))
    folder.chmod(0o711)  # PostgreSQL's user passes through
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data_folder(session_folder: Path) -> Iterator[Path]:
    """An empty data folder of the test's own."""
    folder = new_folder("data-", session_folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens now."""
    return new_port()


# -- passwords -----------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """argon2id at its cheapest, in this process: what hashes people's is dear on purpose."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "_hasher", lambda: cheap)
        yield


# -- Redis and Swift -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _redis_server(session_folder: Path) -> Iterator[RedisServer]:
    folder = DataFolder(new_folder("redis-", session_folder))
    folder.make()
    server = RedisServer(folder)
    with running(server.program()):
        yield server


@pytest.fixture
def redis_url(_redis_server: RedisServer) -> str:
    """The URL of a real Redis with nothing in it."""
    with closing(redis.Redis.from_url(_redis_server.url)) as client:
        client.flushall()
    return _redis_server.url


@dataclass(frozen=True)
class SwiftEndpoint:
    """How to sign in to an account of a real Swift (auth v1)."""

    auth_url: str
    user: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """The same as Snapport's environment."""
        return {
            "SNAPPORT_SWIFT_AUTH_URL": self.auth_url,
            "SNAPPORT_SWIFT_USER": self.user,
            "SNAPPORT_SWIFT_KEY": self.key,
        }


class RunningSwift:
    """A real Swift that a test may stop, kill and start again; it keeps its data and ports."""

    def __init__(self, folder: Path, **options: str | int) -> None:
        data = DataFolder(folder)
        data.make()
        users = {f"test{number}:user": SWIFT_KEY for number in range(SWIFT_ACCOUNTS)}
        self.server = SwiftServer(data, SwiftOptions(users=users, **options))  # type: ignore[arg-type]
        self.child: Child | None = None
        self._numbers = itertools.count()

    def start(self) -> None:
        """Start, and wait until it serves."""
        self.child = Child(self.server.program())
        self.child.wait_ready()

    def start_again(self, **options: str | int) -> None:
        """Stop, and start with other options: `fallocate_reserve="100%"` is a full disk."""
        self.stop()
        self.server.options = replace(self.server.options, **options)  # type: ignore[arg-type]
        self.start()

    def stop(self) -> None:
        """Connections are refused from here on."""
        if self.child is not None:
            self.child.end()
            self.child.wait_ended(10)
            self.child = None

    @property
    def pid(self) -> int:
        """For signals: SIGSTOP makes a store that accepts and never answers."""
        assert self.child is not None
        return self.child.pid

    def account(self) -> SwiftEndpoint:
        """An account that no other test has; it has no container."""
        user = f"test{next(self._numbers)}:user"
        return SwiftEndpoint(self.server.endpoint["swift_auth_url"], user, SWIFT_KEY)


@pytest.fixture(scope="session")
def _swift(session_folder: Path) -> Iterator[RunningSwift]:
    swift = RunningSwift(new_folder("swift-", session_folder))
    swift.start()
    yield swift
    swift.stop()


@pytest.fixture
def swift_endpoint(_swift: RunningSwift) -> SwiftEndpoint:
    """A fresh account of the Swift that all tests share. Do not stop that one: see `own_swift`."""
    return _swift.account()


@pytest.fixture
def another_swift_endpoint(_swift: RunningSwift) -> SwiftEndpoint:
    """Another fresh account of the same Swift."""
    return _swift.account()


@pytest.fixture
def own_swift(session_folder: Path) -> Iterator[Callable[..., RunningSwift]]:
    """Starts a Swift of the test's own, with `SwiftOptions` by name, to be stopped at will.

    `start_again(fallocate_reserve="100%")` on what it gives fills the disk.
    """
    started: list[RunningSwift] = []

    def start(**options: str | int) -> RunningSwift:
        folder = new_folder("swift-", session_folder)
        started.append(RunningSwift(folder, **options))
        started[-1].start()
        return started[-1]

    yield start
    for swift in started:
        swift.stop()


# -- databases -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _postgres(session_folder: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(session_folder / "postgresql", session_folder / "postgresql.log")
    with running(server.program()):
        yield server


_names = itertools.count()


@pytest.fixture
def empty_postgres_url(_postgres: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database without any table."""
    name = f"empty_{next(_names)}"
    _postgres.run(f"CREATE DATABASE {name}")
    yield _postgres.url(name)
    _postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _postgres_template(_postgres: PostgresServer) -> str:
    _postgres.run("CREATE DATABASE migrated")
    upgrade(_postgres.url("migrated"))
    return "migrated"


@pytest.fixture
def postgres_url(_postgres: PostgresServer, _postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database of the test's own."""
    name = f"test_{next(_names)}"
    _postgres.run(f"CREATE DATABASE {name} TEMPLATE {_postgres_template}")
    yield _postgres.url(name)
    _postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _sqlite_template(session_folder: Path) -> Path:
    path = session_folder / "migrated.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of the test's own."""
    path = tmp_path / "snapport.db"
    shutil.copyfile(_sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of the test's own: the test runs on SQLite, then on PostgreSQL."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


# -- the whole of Snapport -----------------------------------------------------------------------


@dataclass
class Snapport:
    """Snapport as `flask up` runs it, in a data folder: Redis, Swift, worker, reaper and portal."""

    folder: Path
    port: int
    env: dict[str, str] = field(default_factory=dict)
    process: Child | None = None

    @property
    def url(self) -> str:
        """The portal's address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command beside it."""
        return {
            **os.environ,
            **self.env,
            "SNAPPORT_DATA": str(self.folder),
            "SNAPPORT_PORT": str(self.port),
        }

    @property
    def notes(self) -> dict[str, object]:
        """What it wrote into embedded.json."""
        return dict(json.loads((self.folder / "embedded.json").read_text()))

    @property
    def terminal(self) -> str:
        """What it printed."""
        return (self.folder.parent / f"{self.folder.name}.terminal").read_text()

    def start(self, *options: str, ready: bool = True) -> Child:
        """`flask up` with these options; waits until it says that it is ready."""
        log = self.folder.parent / f"{self.folder.name}.terminal"
        log.write_text("")
        self.process = Child(
            Program(
                "snapport",
                [sys.executable, "-m", "flask", "--app", "portal.app", "up", *options],
                log,
                ready=(lambda: "  ready  " in log.read_text()) if ready else None,
                env={key: value for key, value in self.environment.items() if "SNAPPORT" in key},
                stop_seconds=60.0,
            )
        )
        self.process.wait_ready(300)
        return self.process

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.process is not None:
            self.process.end()
            self.process.wait_ended(60)
            self.process = None

    def flask(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A `flask` command beside it."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "portal.app", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="session")
def new_snapport(session_folder: Path) -> Callable[..., Snapport]:
    """Gives a Snapport in a folder and on a port of its own, not started: the caller stops it.

    Its arguments are more environment.
    """

    def make(**env: str) -> Snapport:
        return Snapport(new_folder("data-", session_folder), new_port(), env)

    return make


@pytest.fixture
def snapport(new_snapport: Callable[..., Snapport]) -> Iterator[Snapport]:
    """A Snapport of the test's own, not started."""
    instance = new_snapport()
    yield instance
    instance.stop()
    shutil.rmtree(instance.folder)


@pytest.fixture(scope="session")
def portal_server(new_snapport: Callable[..., Snapport]) -> Iterator[Snapport]:
    """A Snapport that the page tests share: the whole stack, without the demonstration.

    Add accounts of your own with `portal_server.flask("accounts", "add", …)`.
    """
    # One address makes every page test's sign-in: the limit has tests of its own.
    instance = new_snapport(SNAPPORT_SIGN_IN_LIMIT="10000 per minute")
    instance.start("--no-demo")
    yield instance
    instance.stop()


# -- the browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _playwright() -> Iterator[Playwright]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(_playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium, without a window; `browser.new_context()` is a fresh visitor."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "Chromium is not installed: run `setup/packages test`"
    with closing(
        _playwright.chromium.launch(
            executable_path=found,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
    ) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a fresh visitor; a script that raised, or was refused, fails the test."""
    with ExitStack() as stack:
        context = stack.enter_context(closing(browser.new_context()))
        page = context.new_page()
        page.set_default_timeout(10_000)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if "Content Security Policy" in message.text
                else None
            ),
        )
        yield page
        assert complaints == []
