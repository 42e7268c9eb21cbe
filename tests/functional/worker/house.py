"""A house: one customer, one server, one store on the real Swift; jobs run here or are killed."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.domain.lifecycle import ACTIVE_JOBS, SnapshotState
from portal.domain.options import Options
from portal.records import Disk, Job, Part, Server, Snapshot, StoreRecord
from portal.services import accounts, servers, snapshots, stores, upkeep
from portal.services.authority import Actor, load_snapshot
from portal.settings import Settings
from portal.stores.config import StoreConfig
from portal.work import Runtime
from worker.jobs import run_capture, run_delete

if TYPE_CHECKING:
    from portal.stores.interface import Store
    from tests.conftest import SwiftEndpoint

MIB = 1024 * 1024
DEFAULTS = Options()
KILLED = Path(__file__).with_name("killed_job.py")


@dataclass
class House:
    """One customer with one server, whose disk is a file here, and one store."""

    runtime: Runtime
    actor: Actor
    server: Server
    store: StoreRecord
    disk: Path
    environment: dict[str, str]

    def take(self, kind: str = "raw", options: Options = DEFAULTS) -> Snapshot:
        """Ask for a snapshot; its job waits."""
        with self.runtime.work() as work:
            snapshot = snapshots.take(
                work, self.actor, self.server, self.store, kind, options=options
            )
            work.commit()
            return snapshot

    def ask_delete(self, snapshot: Snapshot) -> None:
        """Ask to delete; its job waits."""
        with self.runtime.work() as work:
            snapshots.delete(work, self.actor, load_snapshot(work, self.actor, snapshot.id))
            work.commit()

    def cancel(self, snapshot: Snapshot) -> None:
        """Ask to cancel."""
        with self.runtime.work() as work:
            snapshots.cancel(work, self.actor, load_snapshot(work, self.actor, snapshot.id))
            work.commit()

    def job_of(self, snapshot: Snapshot) -> Job:
        """The snapshot's newest job."""
        with self.runtime.work() as work:
            return work.session.scalars(
                select(Job).where(Job.snapshot_id == snapshot.id).order_by(Job.id.desc())
            ).all()[0]

    def run(self) -> None:
        """Run the waiting job here."""
        with self.runtime.work() as work:
            job = work.session.scalars(select(Job).where(Job.state.in_(ACTIVE_JOBS))).one()
        (run_delete if job.kind == "delete" else run_capture)(self.runtime, job.id)

    def snapshot(self, kind: str = "raw", options: Options = DEFAULTS) -> Snapshot:
        """Take one and run it to its end."""
        taken = self.take(kind, options)
        self.run()
        return self.look(taken)

    def add_disk(self, size: int) -> Path:
        """A second disk of the server, with data at its begin and in its last bytes."""
        path = self.disk.with_name("disk2.raw")
        fill(path, size, data=[(0, 1000), (size - 700, 700)], seed=2)
        with self.runtime.work() as work:
            server = work.session.get_one(Server, self.server.id)
            server.disks.append(Disk(position=2, driver="file", address=str(path)))
            work.commit()
        with self.runtime.work() as work:
            self.server = work.session.get_one(Server, self.server.id)
        return path

    def look(self, snapshot: Snapshot) -> Snapshot:
        """As the database has it now."""
        with self.runtime.work() as work:
            return work.session.get_one(Snapshot, snapshot.id)

    def done(self, kind: str = "raw", options: Options = DEFAULTS) -> Snapshot:
        """Take one, which must succeed."""
        taken = self.snapshot(kind, options)
        assert (taken.state, taken.error) == (SnapshotState.DONE, None)
        return taken

    def parts(self) -> list[Part]:
        """The recorded parts."""
        with self.runtime.work() as work:
            return list(work.session.scalars(select(Part)))

    def objects(self, prefix: str = "") -> set[str]:
        """The names in the store."""
        with closing(self.open()) as store:
            return {item.name for item in store.list(prefix)}

    def open(self) -> Store:
        """The store itself."""
        with self.runtime.work() as work:
            return stores.open_store_of(work, self.store)

    def download(self, snapshot: Snapshot, label: str = "web-1.raw.gz") -> bytes:
        """A file of the snapshot as the customer gets it."""
        with closing(self.open()) as store:
            return b"".join(store.get(f"{snapshot.folder}/{label}"))

    def whole(self, snapshot: Snapshot) -> bool:
        """Whether the download unpacks to exactly the disk."""
        return gzip.decompress(self.download(snapshot)) == self.disk.read_bytes()

    def index(self, snapshot: Snapshot) -> dict:
        """snapshot.json."""
        return json.loads(self.download(snapshot, "snapshot.json"))

    def kill_at(self, point: str) -> int:
        """Run the waiting job in a process that is killed (SIGKILL) at this point; its status."""
        with self.runtime.work() as work:
            job = work.session.scalars(select(Job).where(Job.state.in_(ACTIVE_JOBS))).one()
        return subprocess.run(
            [sys.executable, str(KILLED), str(job.id), point],
            env={**os.environ, **self.environment},
            check=False,
            timeout=60,
        ).returncode


def look_after(runtime: Runtime) -> None:
    """One round of what the reaper does."""
    upkeep.reap(runtime)
    upkeep.settle_all(runtime)
    upkeep.resend(runtime)


def fill(path: Path, size: int, *, data: list[tuple[int, int]], seed: int = 1) -> None:
    """A sparse disk with incompressible data at (offset, length)."""
    from random import Random

    random = Random(seed)
    with path.open("wb") as file:
        file.truncate(size)
        for offset, length in data:
            file.seek(offset)
            file.write(random.randbytes(length))


def make_house(
    database_url: str,
    redis_url: str,
    endpoint: SwiftEndpoint,
    folder: Path,
    *,
    name: str = "web-1",
    operating_system: str = "Debian 12",
    **settings: str,
) -> House:
    """A house; `settings` are Settings fields."""
    environment = {
        "SNAPPORT_DATA": str(folder),
        "SNAPPORT_DATABASE_URL": database_url,
        "SNAPPORT_REDIS_URL": redis_url,
        **{f"SNAPPORT_{key.upper()}": value for key, value in settings.items()},
    }
    runtime = Runtime.open(
        Settings(data=folder, database_url=database_url, redis_url=redis_url, **settings)
    )
    disk = folder / "disk.raw"
    fill(disk, 96 * MIB + 512, data=[(0, 20 * MIB), (40 * MIB, 17 * MIB + 77)])
    actor = Actor.support()
    with runtime.work() as work:
        account = accounts.add(work, actor, "Customer")
        server = servers.add(
            work,
            actor,
            account=account,
            name=name,
            operating_system=operating_system,
            host="local",
            disks=[("file", str(disk))],
        )
        store = stores.add(
            work,
            actor,
            account=account,
            name="Memstore",
            config=StoreConfig(
                driver="swift",
                auth_url=endpoint.auth_url,
                user=endpoint.user,
                key=endpoint.key,
                connect_timeout=2.0,
                read_timeout=5.0,
                retry_seconds=3.0,
            ),
        )
        work.commit()
    return House(runtime, actor, server, store, disk, environment)
