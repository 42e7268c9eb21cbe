"""Redis, Swift and the worker that ships, up for a run, with a customer whose disks they snapshot.

What must always hold: whatever is started ends with the run, killed or not (see
`portal.embedded.child`), and what it stored is removed with its folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from bench import inputs
from bench.clock import BenchFailed, Timed
from portal.domain.lifecycle import ACTIVE_SNAPSHOTS, SnapshotState
from portal.domain.options import Options
from portal.embedded.child import Program, running
from portal.embedded.folder import DataFolder
from portal.embedded.redis_server import RedisServer
from portal.embedded.swift import SwiftServer
from portal.records import Snapshot
from portal.records.migrate import upgrade
from portal.services import accounts, servers, snapshots, stores
from portal.services.authority import Actor
from portal.settings import Settings
from portal.stores.config import StoreConfig
from portal.work import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal.embedded.child import Child
    from portal.stores.interface import Store

HOST = "bench"
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot that was taken: from the wish to DONE, and the worker's memory meanwhile."""

    timed: Timed
    sent: int
    reused: int
    size: int
    memory: WorkerMemory


@dataclass
class Customer:
    """A server with one disk, and a container of its own."""

    server_id: int
    store_id: int
    config: StoreConfig = field(repr=False)


_EVERY_SECTOR = Options(skip_unused=False)
"""The peers read every sector too."""


class Stack:
    """What a snapshot needs; made by `stack`."""

    def __init__(self, runtime: Runtime, worker: Child, config: StoreConfig) -> None:
        self.runtime = runtime
        self.worker = worker
        self.config = config
        self._names = count(1)

    def new_container(self) -> StoreConfig:
        """A container that nothing was stored in."""
        config = self.config
        return StoreConfig(
            driver=config.driver,
            auth_url=config.auth_url,
            user=config.user,
            key=config.key,
            container=f"bench-{next(self._names)}",
        )

    def customer(self, disk: Path) -> Customer:
        """A new customer with this disk, whose store is empty."""
        config = self.new_container()
        actor = Actor.support()
        with self.runtime.work() as work:
            account = accounts.add(work, actor, config.container)
            store = stores.add(work, actor, account=account, name="store", config=config)
            server = servers.add(
                work,
                actor,
                account=account,
                name=config.container,
                operating_system="",
                host=HOST,
                disks=[("file", str(disk))],
            )
            work.commit()
            return Customer(server.id, store.id, config)

    def warm_up(self) -> None:
        """A tiny snapshot: the worker has started, and everything was done once."""
        disk = self.runtime.settings.data / "tiny.raw"
        disk.write_bytes(os.urandom(1024**2))
        self.take(self.customer(disk))

    def take(self, customer: Customer, *, watch_memory: bool = False) -> Taken:
        """Take a raw snapshot with the real worker, and wait for its end.

        Watching memory costs some percent of a core: not in a run whose time counts.
        """
        started = time.perf_counter()
        with self.runtime.work() as work:
            actor = Actor.support()
            server = servers.find(work, actor, str(customer.server_id))
            store = stores.find(work, actor, str(customer.store_id))
            taken = snapshots.take(work, actor, server, store, "raw", options=_EVERY_SECTOR).id
            work.commit()
        return self._wait(taken, started, watch_memory=watch_memory)

    def export(self, customer: Customer, kind: str) -> Taken:
        """Export the newest snapshot of the customer's server, watching memory."""
        started = time.perf_counter()
        with self.runtime.work() as work:
            actor = Actor.support()
            server = servers.find(work, actor, str(customer.server_id))
            origin = snapshots.list_snapshots(work, actor, server=server)[0].snapshot
            made = snapshots.export(work, actor, origin, kind, options=_EVERY_SECTOR).id
            work.commit()
        return self._wait(made, started, watch_memory=True)

    def _wait(self, snapshot_id: int, started: float, *, watch_memory: bool) -> Taken:
        memory = WorkerMemory(self.worker.pid)
        with self.runtime.engine.connect() as reading:
            state = select(Snapshot.state).where(Snapshot.id == snapshot_id)
            while reading.scalar(state) in ACTIVE_SNAPSHOTS:
                reading.rollback()
                if watch_memory:
                    memory.look()
                time.sleep(_LOOK_SECONDS)
        seconds = time.perf_counter() - started
        with self.runtime.work() as work:
            snapshot = work.session.get_one(Snapshot, snapshot_id)
        if snapshot.state is not SnapshotState.DONE:
            raise BenchFailed(f"The snapshot ended as {snapshot.state}: {snapshot.error}")
        return Taken(Timed(seconds), snapshot.sent, snapshot.reused, snapshot.size or 0, memory)

    @contextmanager
    def opened(self, config: StoreConfig) -> Iterator[Store]:
        """The store itself."""
        from portal.stores.open_store import open_store

        with closing(open_store(config)) as store:
            yield store

    def empty(self, config: StoreConfig) -> None:
        """Delete all that is in a container."""
        with self.opened(config) as store:
            store.delete_many([stored.name for stored in store.list()])


class WorkerMemory:
    """The most that a worker and its children had in memory, in bytes.

    `at_most` adds up the kernel's high-water marks of all of them: no short peak escapes those, but
    what processes share (a forked child shares most of its parent) counts in each. `shared_once`
    counts it once (PSS), as seen at some fifty looks a second.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.at_most = 0
        self.shared_once = 0

    def look(self) -> None:
        """Look at the worker and the job's process below it."""
        pids = _family(self._pid)
        marks = sum(_kernel_says(f"/proc/{pid}/status", "VmHWM:") for pid in pids)
        shares = sum(_kernel_says(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids)
        self.at_most = max(self.at_most, marks)
        self.shared_once = max(self.shared_once, shares)


def _family(pid: int) -> list[int]:
    """The process and all below it that are alive."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _kernel_says(file: str, word: str) -> int:
    """A number of bytes; 0 where the process has just ended."""
    try:
        for line in Path(file).read_text().splitlines():
            if line.startswith(word):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


@contextmanager
def stack() -> Iterator[Stack]:
    """Everything up; everything ended and removed afterwards."""
    inputs.FOLDER.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        folder = DataFolder(Path(tempfile.mkdtemp(prefix="run-", dir=inputs.FOLDER)))
        opened.callback(shutil.rmtree, folder.path, ignore_errors=True)
        folder.make()
        redis, swift = RedisServer(folder), SwiftServer(folder)
        opened.enter_context(running(redis.program()))
        opened.enter_context(running(swift.program()))
        folder.note({"redis_url": redis.url, **swift.endpoint})
        settings = Settings(data=folder.path, host=HOST)
        upgrade(settings.database)
        runtime = opened.enter_context(closing(Runtime.open(settings)))
        worker = opened.enter_context(
            running(
                Program(
                    "worker",
                    [sys.executable, "-m", "bench.installed", "--host", HOST],
                    folder.log / "worker.log",
                    env={"SNAPPORT_DATA": str(folder.path)},
                )
            )
        )
        endpoint = swift.endpoint
        config = StoreConfig(
            driver="swift",
            auth_url=endpoint["swift_auth_url"],
            user=endpoint["swift_user"],
            key=endpoint["swift_key"],
        )
        house = Stack(runtime, worker, config)
        house.warm_up()
        yield house
