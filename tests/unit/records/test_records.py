"""What the database itself holds to, on both databases, whatever the code above it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from portal.domain.kinds import Kind
from portal.domain.lifecycle import ACTIVE_JOBS, JobKind, JobState, SnapshotState
from portal.records import (
    Account,
    Disk,
    Host,
    Job,
    Part,
    Record,
    Server,
    Snapshot,
    SnapshotFile,
    StoreRecord,
    User,
)
from portal.records.engine import make_engine
from portal.records.file import FileRole
from portal.records.user import Role

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A migrated database."""
    opened = make_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session with one account, host, server and store (each number 1) committed."""
    with Session(engine) as opened:
        opened.add(Account(name="Example"))
        opened.add(Host(name="kvm-1"))
        opened.flush()
        opened.add(
            Server(
                account_id=1,
                name="web-1",
                folder="web-1",
                host_name="kvm-1",
                disks=[Disk(position=1, driver="file", address="/a")],
            )
        )
        opened.add(_store())
        opened.commit()
        yield opened


def _store(**other: Any) -> StoreRecord:
    given = {
        "account_id": 1,
        "name": "main",
        "driver": "memory",
        "address": "memory:",
        "identity": "i",
        "sealed": b"\x00\xff",
        **other,
    }
    return StoreRecord(**given)


def _job(state: JobState, *, writes: bool = True) -> Job:
    return Job(
        kind=JobKind.CAPTURE,
        state=state,
        server_id=1,
        snapshot_id=None,
        queue="host:kvm-1",
        writes=writes,
    )


def _snapshot(folder: str = "web-1/2026-11-22T201746Z") -> Snapshot:
    return Snapshot(
        server_id=1, store_id=1, kind=Kind.RAW, state=SnapshotState.QUEUED, folder=folder
    )


def _refused(session: Session, *records: Record) -> None:
    session.add_all(records)
    with pytest.raises(IntegrityError):
        session.flush()
    session.rollback()


@pytest.mark.parametrize("state", ACTIVE_JOBS)
@pytest.mark.parametrize("other", ACTIVE_JOBS)
def test_one_writer_a_server(session: Session, state: JobState, other: JobState) -> None:
    session.add(_job(state))
    session.commit()
    _refused(session, _job(other))
    session.add(_job(other, writes=False))
    session.commit()


def test_jobs_that_ended_hold_up_nobody(session: Session) -> None:
    ended = [state for state in JobState if state not in ACTIVE_JOBS]
    session.add_all([_job(state) for state in ended for _ in range(2)])
    session.add(_job(JobState.QUEUED))
    session.commit()
    last = session.scalars(select(Job).where(Job.state == JobState.DONE)).first()
    assert last is not None
    last.state = JobState.RUNNING
    with pytest.raises(IntegrityError):
        session.flush()


def test_what_must_be_single_is(session: Session) -> None:
    _refused(session, Account(name="Example"))
    _refused(session, _store(name="other"))
    _refused(session, _store(identity="other"))
    _refused(session, Server(account_id=1, name="web-1", folder="x", host_name="kvm-1"))
    _refused(session, Server(account_id=1, name="x", folder="web-1", host_name="kvm-1"))
    _refused(session, _snapshot(), _snapshot())
    part = {"store_id": 1, "folder": "web-1", "sha256": "a" * 64, "md5": "b" * 32, "size": 1}
    _refused(session, Part(**part), Part(**part))
    session.add(_snapshot())
    session.flush()
    file = {"snapshot_id": 1, "role": FileRole.INDEX, "name": "x/snapshot.json"}
    _refused(session, SnapshotFile(**file), SnapshotFile(**file))


def test_what_is_named_must_be_there(session: Session) -> None:
    _refused(session, Server(account_id=99, name="x", folder="x", host_name="kvm-1"))
    _refused(session, Server(account_id=1, name="x", folder="x", host_name="nowhere"))
    _refused(session, _store(account_id=99, name="x", identity="x"))
    _refused(
        session,
        Snapshot(server_id=1, store_id=99, kind=Kind.RAW, state=SnapshotState.QUEUED, folder="x"),
    )


@pytest.mark.parametrize(
    ("role", "account_id"), [(Role.SUPPORT, 1), (Role.CUSTOMER, None)], ids=str
)
def test_a_customer_has_an_account_and_support_has_none(
    session: Session, role: Role, account_id: int | None
) -> None:
    _refused(session, User(email="a@b.c", password_hash="h", role=role, account_id=account_id))


def test_times_are_utc_and_never_without_a_zone(session: Session) -> None:
    tokyo = datetime(2026, 11, 23, 5, 17, 46, 123456, tzinfo=timezone(timedelta(hours=9)))
    session.add(Host(name="far", seen_at=tokyo))
    session.commit()
    session.expire_all()
    seen = session.get_one(Host, "far").seen_at
    assert seen == tokyo
    assert seen.tzinfo is UTC
    assert session.scalar(select(Host.name).where(Host.seen_at < tokyo)) is None
    session.add(Host(name="naive", seen_at=datetime(2026, 11, 22)))  # noqa: DTZ001
    with pytest.raises(StatementError, match="without a zone"):
        session.flush()


def test_big_disks_and_odd_names_fit(session: Session) -> None:
    name = "日本" * 42 + "'\"/%_"
    account = Account(name=name)
    session.add(account)
    snapshot = _snapshot()
    snapshot.size = 2**60
    session.add(snapshot)
    session.commit()
    session.expire_all()
    assert session.get_one(Account, account.id).name == name
    assert session.get_one(Snapshot, snapshot.id).size == 2**60


def test_states_are_kept_by_their_values(session: Session, engine: Engine) -> None:
    session.add(_snapshot())
    session.commit()
    with engine.connect() as connection:
        row = connection.execute(text("SELECT kind, state FROM snapshots")).one()
    assert tuple(row) == ("raw", "queued")


def test_secrets_do_not_show(session: Session) -> None:
    session.add(User(email="a@b.c", password_hash="$argon2id$x", role=Role.CUSTOMER, account_id=1))
    session.commit()
    assert "argon2id" not in repr(session.scalars(select(User)).one())
    assert "sealed" not in repr(session.scalars(select(StoreRecord)).one())


def test_a_server_goes_with_its_disks(session: Session) -> None:
    session.delete(session.get_one(Server, 1))
    session.commit()
    assert session.scalars(select(Disk)).all() == []
