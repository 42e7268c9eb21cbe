"""Snapport on one machine, in one data folder: what `flask up` and `make run` do.

What must always hold:
- Nothing starts before the data folder is locked and the portal's port is known to be free.
- What others need is up before they start: Redis and Swift, the migrated database, then the worker,
  the reaper and the portal. Stopping goes the other way.
- A process that ends by itself is started again, after a pause that doubles, and a line says so.
- Whatever happens here, nothing is left behind (see `portal.embedded.child`).
"""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from portal.domain.errors import Conflict
from portal.embedded.child import Child, Program, adopt_orphans, kill_orphans
from portal.embedded.folder import DataFolder, port_is_free
from portal.embedded.redis_server import RedisServer
from portal.embedded.swift import SwiftServer
from portal.settings import CHECKOUT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
STEADY_SECONDS = 60.0
"""Who ran this long begins again with the first pause."""
LOOK_SECONDS = 0.2


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal."""


class _Place:
    """One program's place: its child, or when it is next to be started."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.child: Child | None = None
        self.start_at = 0.0
        self.pause = FIRST_PAUSE


class Supervisor:
    """Starts, watches and stops the programs of one data folder. Use on the main thread."""

    def __init__(self, settings: Settings, say: Callable[[str, str], None]) -> None:
        self.settings = settings
        self.folder = DataFolder(settings.data)
        self.say = say
        self._places: list[_Place] = []
        self._stopping = False
        self._hurry = False

    def run(self, *, services_only: bool = False, demonstration: bool = True) -> None:
        """Bring everything up, watch it until a signal asks to stop, stop it.

        Raises `SnapportError` where it cannot start. Whatever was started is stopped.
        """
        self.folder.make()
        lock = self.folder.lock()
        settings = self.settings
        if not services_only and not port_is_free(settings.bind, settings.port):
            os.close(lock)
            raise Conflict(
                f"Port {settings.port} is in use: set SNAPPORT_PORT to another and start again."
            )
        adopt_orphans()
        before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            self._services((lock,))
            if services_only:
                self.say("ready", f"Redis and Swift are up; {self.folder.notes_path} tells where.")
            else:
                self._snapport((lock,), demonstration=demonstration)
            self._watch()
        except StopRequested:
            pass
        finally:
            self._stopping = True
            self._stop_all()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(lock)

    # -- starting ----------------------------------------------------------------------------

    def _services(self, keep: tuple[int, ...]) -> None:
        """Redis and Swift, where the environment does not name others."""
        noted: dict[str, str] = {}
        programs = []
        if not os.environ.get("SNAPPORT_REDIS_URL"):
            redis_server = RedisServer(self.folder)
            noted["redis_url"] = redis_server.url
            programs.append(redis_server.program(keep))
        if not os.environ.get("SNAPPORT_SWIFT_AUTH_URL"):
            swift = SwiftServer(self.folder)
            noted.update(swift.endpoint)
            programs.append(swift.program(keep))
        self.folder.note(noted)
        self._start(programs)
        self._wait_ready(programs)

    def _snapport(self, keep: tuple[int, ...], *, demonstration: bool) -> None:
        """The database, the demonstration, then the processes of Snapport itself."""
        from portal.records.migrate import upgrade

        address = f"http://{_address(self.settings.bind)}:{self.settings.port}"
        self.folder.note({"portal_url": address})
        settings = Settings()
        upgrade(settings.database)
        self.say("database", "up to date")
        sign_in = None
        if demonstration:
            from portal.embedded import demo

            sign_in = demo.prepare(settings, self.folder, lambda line: self.say("demo", line))
        programs = self._own_programs(keep, address)
        self._start(programs)
        self._wait_ready(programs)
        self.say("ready", f"Snapport is at {address}")
        if sign_in:
            self.say("", f"Sign in as {sign_in.email} with the password {sign_in.password}")
        self.say("", f"Ctrl-C stops everything; the data stays in {self.folder.path}")

    def _own_programs(self, keep: tuple[int, ...], address: str) -> list[Program]:
        env = {
            "SNAPPORT_DATA": str(self.folder.path),
            "SNAPPORT_PORT": str(self.settings.port),
        }
        python = sys.executable
        bind = self.settings.bind

        def portal_answers() -> bool:
            return _answers(f"{address}/")

        return [
            Program(
                "worker",
                [python, "-m", "worker", "--host", self.settings.host],
                self.folder.log / "worker.log",
                env=env,
                stop_seconds=20.0,
                death_signal=signal.SIGKILL,
                keep=keep,
            ),
            Program(
                "reaper",
                [python, "-m", "flask", "--app", "portal.app", "reaper"],
                self.folder.log / "reaper.log",
                env=env,
                death_signal=signal.SIGKILL,
                keep=keep,
            ),
            Program(
                "portal",
                [
                    python,
                    "-m",
                    "gunicorn",
                    "portal.app:create_app()",
                    f"--bind={f'[{bind}]' if ':' in bind else bind}:{self.settings.port}",
                    "--worker-class=gthread",
                    "--workers=2",
                    "--threads=16",
                    "--graceful-timeout=5",
                    "--no-control-socket",
                    "--access-logfile=-",
                    f"--chdir={CHECKOUT}",
                ],
                self.folder.log / "portal.log",
                ready=portal_answers,
                env=env,
                keep=keep,
            ),
        ]

    def _start(self, programs: Sequence[Program]) -> None:
        for program in programs:
            place = _Place(program)
            self._places.append(place)
            place.child = Child(program)

    def _wait_ready(self, programs: Sequence[Program]) -> None:
        for place in self._places:
            if place.child is not None and place.program in programs:
                place.child.wait_ready()
                self.say(place.program.name, "up")

    # -- watching ----------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            for place in self._places:
                self._look_at(place)
            time.sleep(LOOK_SECONDS)

    def _look_at(self, place: _Place) -> None:
        child, program = place.child, place.program
        if child is None:
            if time.monotonic() >= place.start_at:
                place.child = Child(program)
                self.say(program.name, "started again")
            return
        if child.exit_status() is None:
            return
        if time.monotonic() - child.started > STEADY_SECONDS:
            place.pause = FIRST_PAUSE
        place.child = None
        kill_orphans(self._pids())
        self.say(
            program.name,
            f"ended by itself ({child.how_it_ended()}): {child.last_words()}"
            f" — starting it again in {place.pause:.0f} s",
        )
        place.start_at = time.monotonic() + place.pause
        place.pause = min(place.pause * 2, LONGEST_PAUSE)

    def _pids(self) -> list[int]:
        return [place.child.pid for place in self._places if place.child is not None]

    # -- stopping ----------------------------------------------------------------------------

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            self._hurry = True  # asked twice: no more waiting
            return
        self._stopping = True
        raise StopRequested

    def _stop_all(self) -> None:
        for place in reversed(self._places):
            child = place.child
            if child is None:
                continue
            child.end()
            deadline = time.monotonic() + place.program.stop_seconds
            while child.exit_status() is None:
                if self._hurry or time.monotonic() > deadline:
                    child.kill()
                    self.say(place.program.name, "killed: it did not stop in time")
                    break
                time.sleep(0.02)
            else:
                self.say(place.program.name, "stopped")
        kill_orphans(())


def _address(bind: str) -> str:
    """What a browser on this machine is told for an address to listen on."""
    if bind in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    return f"[{bind}]" if ":" in bind else bind


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - http, made here
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False
