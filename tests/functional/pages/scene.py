"""A portal with people and servers in it, on a real database, for the tests of the pages.

Jobs are moved as a worker moves them, through `portal.services.leases`: a test decides how far a
snapshot is.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.app import create_app
from portal.domain.lifecycle import JobKind, JobState, SnapshotState
from portal.records import Account, Host, Job, Server, Snapshot, SnapshotFile, StoreRecord, User
from portal.records.declarative import now
from portal.records.file import FileRole
from portal.records.user import Role
from portal.services import accounts, leases, moves, servers, snapshots, stores, users
from portal.services.authority import Actor
from portal.services.leases import Lease, Report
from portal.settings import Settings
from portal.stores.config import StoreConfig

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from portal.work import Runtime

PASSWORD = "correct horse battery"
GIB = 1024**3
MIB = 1024**2


@dataclass
class Tenant:
    """An account with one user, one server and one store; numbers, as pages use them."""

    email: str
    account: int
    user: int
    server: int
    store: int
    server_name: str
    store_name: str


class Scene:
    """A portal of a test's own."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, **settings: object) -> None:
        self.settings = Settings(
            data=folder,
            database_url=database_url,
            redis_url=redis_url,  # type: ignore[arg-type]
            **settings,  # type: ignore[arg-type]
        )
        self.app: Flask = create_app(self.settings)
        self.runtime: Runtime = self.app.extensions["snapport"]
        self.support = Actor.support()

    def close(self) -> None:
        """Let go of connections."""
        self.runtime.close()

    # -- people and things -----------------------------------------------------------------------

    def tenant(
        self,
        name: str,
        *,
        server_name: str = "web-1",
        store_name: str = "Memstore",
        config: StoreConfig | None = None,
        host: str = "host-1",
        disk: str = "/srv/disks/web-1.img",
    ) -> Tenant:
        """A customer. The store is real where `config` is given; else nothing answers there."""
        with self.runtime.work() as work:
            account = accounts.add(work, self.support, name)
            email = f"{secrets.token_hex(4)}@example.org"
            user = users.add(
                work,
                self.support,
                email=email,
                password=PASSWORD,
                role=Role.CUSTOMER,
                account=account,
            )
            server = servers.add(
                work,
                self.support,
                account=account,
                name=server_name,
                operating_system="Debian 12",
                host=host,
                disks=[("file", disk)],
            )
            if config is not None:
                store = stores.add(
                    work, self.support, account=account, name=store_name, config=config
                )
            else:
                store = self._silent_store(account, store_name)
                work.session.add(store)
            work.commit()
            return Tenant(email, account.id, user.id, server.id, store.id, server.name, store.name)

    def _silent_store(self, account: Account, name: str) -> StoreRecord:
        identity = secrets.token_hex(32)
        config = StoreConfig(
            driver="swift",
            auth_url="http://127.0.0.1:9/auth/v1.0",  # discard: nothing listens
            user="nobody:nobody",
            key="none",
            retry_seconds=1,
        )
        return StoreRecord(
            account_id=account.id,
            name=name,
            driver="swift",
            address=config.auth_url,
            identity=identity,
            sealed=self.runtime.vault.seal(f"store {identity}", config.as_text()),
        )

    def support_user(self, email: str = "support@example.org") -> str:
        """A person of support; their e-mail address."""
        with self.runtime.work() as work:
            users.add(
                work,
                self.support,
                email=email,
                password=PASSWORD,
                role=Role.SUPPORT,
                account=None,
            )
            work.commit()
        return email

    def another_store(self, tenant: Tenant, name: str) -> int:
        """A second store of the same account."""
        with self.runtime.work() as work:
            store = self._silent_store(work.session.get_one(Account, tenant.account), name)
            work.session.add(store)
            work.commit()
            return store.id

    def host_lives(self, name: str = "host-1", *, seconds_ago: float = 0) -> None:
        """The host's worker showed life then."""
        with self.runtime.work() as work:
            leases.seen(work, name)
            work.session.get_one(Host, name).seen_at = now() - timedelta(seconds=seconds_ago)
            work.commit()

    # -- a snapshot's life -----------------------------------------------------------------------

    def take(self, tenant: Tenant) -> int:
        """Ask for a snapshot, as the tenant's page does; its number."""
        with self.runtime.work() as work:
            snapshot = snapshots.take(
                work,
                Actor(tenant.user, tenant.account),
                work.session.get_one(Server, tenant.server),
                work.session.get_one(StoreRecord, tenant.store),
                "raw",
            )
            work.commit()
            return snapshot.id

    def claim(self, snapshot_id: int) -> Lease:
        """Begin its job, as a worker does."""
        with self.runtime.work() as work:
            job = work.session.scalars(
                select(Job).where(Job.snapshot_id == snapshot_id, Job.state == JobState.QUEUED)
            ).one()
            lease = leases.claim(work, job.id, "worker of a test")
            assert lease is not None
            work.commit()
            return lease

    def report(self, lease: Lease, done: int, total: int, rate: float = 200 * MIB) -> bool:
        """How far the job is; whether somebody asked to cancel."""
        with self.runtime.work() as work:
            cancelled = leases.renew(
                work, lease, Report("Copying the disk", done, total, done // 4, rate)
            )
            work.commit()
            return cancelled

    def end(
        self,
        snapshot_id: int,
        lease: Lease,
        state: SnapshotState,
        *,
        error: str | None = None,
        files: bool = True,
    ) -> None:
        """End the job and the snapshot; one that is done gets records of files."""
        with self.runtime.work() as work:
            snapshot = work.session.get_one(Snapshot, snapshot_id)
            job_state = {
                SnapshotState.DONE: JobState.DONE,
                SnapshotState.GONE: JobState.DONE,
                SnapshotState.CANCELLED: JobState.CANCELLED,
            }.get(state, JobState.FAILED)
            values: dict[str, object] = {"finished_at": now(), "error": error}
            if state is SnapshotState.DONE:
                sizes = {"size": GIB // 3, "source": 4 * GIB, "sent": 96 * MIB, "reused": 230 * MIB}
                values |= sizes
                if files:
                    work.session.add_all(self._files(snapshot))
            leases.end(work, lease, job_state, error=error)
            moves.move_snapshot(work, snapshot, state, **values)
            work.commit()

    def _files(self, snapshot: Snapshot) -> list[SnapshotFile]:
        stem = snapshot.server.name.replace("/", "_")
        return [
            SnapshotFile(
                snapshot_id=snapshot.id,
                role=role,
                name=f"{snapshot.folder}/{label}",
                size=size,
                md5=secrets.token_hex(16),
                sha256=secrets.token_hex(32),
                source_size=4 * GIB if role is FileRole.IMAGE else None,
                stored=True,
            )
            for role, label, size in (
                (FileRole.IMAGE, f"{stem}.raw.gz", GIB // 3),
                (FileRole.INDEX, "snapshot.json", 4411),
                (FileRole.README, "README.txt", 2087),
            )
        ]

    def settled(
        self, tenant: Tenant, state: SnapshotState, *, error: str | None = None, days_ago: float = 0
    ) -> int:
        """A snapshot that has come to its end; its number."""
        number = self.take(tenant)
        lease = self.claim(number)
        self.end(number, lease, state, error=error)
        if days_ago:
            with self.runtime.work() as work:
                snapshot = work.session.get_one(Snapshot, number)
                begun = now() - timedelta(days=days_ago)
                snapshot.requested_at = begun
                snapshot.started_at = begun + timedelta(seconds=2)
                snapshot.finished_at = begun + timedelta(minutes=2, seconds=7)
                work.commit()
        return number

    def state(self, snapshot_id: int) -> SnapshotState:
        """What the database says."""
        with self.runtime.work() as work:
            return work.session.get_one(Snapshot, snapshot_id).state

    def job(self, snapshot_id: int, kind: JobKind = JobKind.CAPTURE) -> Job | None:
        """The newest job of a snapshot."""
        with self.runtime.work() as work:
            return work.session.scalar(
                select(Job)
                .where(Job.snapshot_id == snapshot_id, Job.kind == kind)
                .order_by(Job.id.desc())
            )

    def user(self, email: str) -> User:
        """The record of a user."""
        with self.runtime.work() as work:
            return work.session.scalars(select(User).where(User.email == email)).one()
