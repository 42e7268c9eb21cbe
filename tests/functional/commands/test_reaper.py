"""`flask reaper` as a process: notices a dead worker, outlives outages, stops when asked."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.orm import Session

from portal.domain.lifecycle import JobState, SnapshotState
from portal.records import Job, Snapshot
from portal.records.declarative import now

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from tests.conftest import SwiftEndpoint
    from tests.functional.commands.conftest import Shell


@pytest.fixture
def engine(sqlite_url: str) -> Engine:
    """The shell's database."""
    return create_engine(sqlite_url)


@pytest.fixture
def running(shell: Shell, swift_endpoint: SwiftEndpoint, engine: Engine, tmp_path: Path) -> int:
    """A job that a worker claimed and will never speak of again; its lease has run out."""
    shell.run("accounts", "add", "Example")
    disk = tmp_path / "disk"
    disk.write_bytes(b"x" * 4096)
    shell.run("servers", "add", "web-1", "--account", "Example", "--disk", f"file:{disk}")
    added = shell.run(
        *("stores", "add", "main", "--account", "Example", "--user", swift_endpoint.user),
        *("--auth-url", swift_endpoint.auth_url, "--key-stdin"),
        stdin=swift_endpoint.key + "\n",
    )
    assert added.returncode == 0, added.stderr
    assert shell.run("snapshots", "take", "web-1", "--store", "main").returncode == 0
    with Session(engine) as session:
        session.execute(
            update(Job).values(
                state=JobState.RUNNING, fence=1, lease_until=now() - timedelta(seconds=1)
            )
        )
        session.execute(update(Snapshot).values(state=SnapshotState.RUNNING))
        session.commit()
        return session.scalars(select(Job.id)).one()


def _state(engine: Engine) -> tuple[JobState, SnapshotState]:
    with Session(engine) as session:
        return session.scalars(select(Job.state)).one(), session.scalars(
            select(Snapshot.state)
        ).one()


def test_once_says_what_it_found(shell: Shell, running: int, engine: Engine) -> None:
    first = shell.run("reaper", "--once", "--json")
    assert first.returncode == 0, first.stderr
    assert f'"reaped": [\n    {running}\n  ]' in first.stdout
    assert _state(engine) == (JobState.LOST, SnapshotState.BROKEN)
    second = shell.run("reaper", "--once")
    assert second.stdout.startswith("Jobs of dead workers ended: 0.")


def test_it_outlives_an_outage_and_stops_cleanly(
    shell: Shell, running: int, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs RENAME TO jobs_away"))
    shell.environment["SNAPPORT_REAP_SECONDS"] = "0.1"
    reaper = shell.start("reaper")
    log = ""
    try:
        assert reaper.stderr is not None
        while log.count("upkeep fails") < 2:  # the loop of stores, and that of leases
            line = reaper.stderr.readline()
            assert line, log
            log += line
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE jobs_away RENAME TO jobs"))
        deadline = time.monotonic() + 30
        while _state(engine)[0] is not JobState.LOST:
            assert time.monotonic() < deadline, "the dead worker was not noticed"
            time.sleep(0.1)
        while log.count("upkeep works again") < log.count("upkeep fails"):
            line = reaper.stderr.readline()
            assert line, log
            log += line
        reaper.send_signal(signal.SIGTERM)
        output, rest = reaper.communicate(timeout=30)
        log += rest
    finally:
        reaper.kill()
        reaper.wait()
    assert reaper.returncode == 0
    assert output == ""
    assert log.count("upkeep fails") == log.count("upkeep works again")
    assert "lease ran out" in log
    assert "reaper stopped" in log
    assert "Traceback" not in log
