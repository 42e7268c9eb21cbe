"""`flask snapshots`, with a worker played by the test through the leases."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, update

from portal.commands import waiting
from portal.domain.drivers import Drivers
from portal.domain.layout import Layout
from portal.domain.lifecycle import JobState, SnapshotState
from portal.records import Job, Snapshot, SnapshotFile
from portal.records.file import FileRole
from portal.services import leases, servers, stores
from portal.services.authority import Actor
from portal.services.moves import move_snapshot
from portal.services.snapshots import HistoryLine, line_of
from portal.work import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.commands.conftest import Commands

TAKE = ("snapshots", "take", "web-1", "--store", "main")
README = "MD5 (web-1.raw.gz) = …\n\x1b[31m"


End = Callable[[Runtime, leases.Lease, Snapshot], None]
Worker = Callable[[End], AbstractContextManager[None]]


@pytest.fixture
def worker(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Claims the next job, reports, and ends it once somebody who waits for it has seen that."""
    seen = threading.Event()

    def look(*arguments: Any) -> HistoryLine:
        line = line_of(*arguments)
        if line.job is not None and line.job.bytes_total:
            seen.set()
        return line

    monkeypatch.setattr(waiting, "line_of", look)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.05)

    def serve(end: End, trouble: list[BaseException]) -> None:
        try:
            deadline = time.monotonic() + 30
            lease = None
            while lease is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
                with runtime.work() as work:
                    job = work.session.scalar(select(Job).where(Job.state == JobState.QUEUED))
                    work.session.commit()
                    if job is not None:
                        lease = leases.claim(work, job.id, "kvm-1:1")
                        work.commit()
            seen.clear()
            with runtime.work() as work:
                leases.renew(
                    work,
                    lease,
                    leases.Report("reading", done=2**30, total=2**32, rate=2.0**28),
                )
                work.commit()
                snapshot = work.session.get_one(Job, lease.job_id).snapshot
            assert snapshot is not None
            assert seen.wait(30), "nobody looked"
            end(runtime, lease, snapshot)
        except BaseException as error:
            trouble.append(error)
            raise

    @contextmanager
    def working(end: End) -> Iterator[None]:
        trouble: list[BaseException] = []
        thread = threading.Thread(target=serve, args=(end, trouble))
        thread.start()
        try:
            yield
        finally:
            thread.join(60)
        assert trouble == []

    return working


def _end(state: SnapshotState, job_state: JobState, error: str | None = None) -> End:
    def end(runtime: Runtime, lease: leases.Lease, snapshot: Snapshot) -> None:
        with runtime.work() as work:
            leases.end(work, lease, job_state, error=error)
            found = work.session.get_one(Snapshot, snapshot.id)
            now = work.session.get_one(Job, lease.job_id).ended_at
            move_snapshot(
                work, found, state, finished_at=now, size=3 * 2**20, sent=2**20, error=error
            )
            work.commit()

    return end


done = _end(SnapshotState.DONE, JobState.DONE)


def _finished(flask: Commands, runtime: Runtime) -> int:
    """A finished snapshot with its files."""
    snapshot_id = int(flask.json(*TAKE)["id"])
    with runtime.work() as work:
        snapshot = work.session.get_one(Snapshot, snapshot_id)
        for role, name, content in (
            (FileRole.IMAGE, "web-1.raw.gz", "image"),
            (FileRole.README, "README.txt", README),
        ):
            digest = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
            file = SnapshotFile(
                snapshot_id=snapshot_id,
                role=role,
                name=f"{snapshot.folder}/{name}",
                size=len(content.encode()),
                md5=digest,
                stored=True,
            )
            work.session.add(file)
            store = stores.open_store_of(work, stores.find(work, Actor.support(), "main"))
            store.put(file.name, content.encode(), md5=digest, content_type="text/plain")
        work.session.execute(update(Snapshot).values(state=SnapshotState.DONE))
        work.session.execute(update(Job).values(state=JobState.DONE))
        work.commit()
    return snapshot_id


def test_taking_asks_and_says_the_number(flask: Commands, customer: str) -> None:
    assert flask.ok(*TAKE) == "Snapshot 1 of “web-1” is queued.\n"
    assert "web-1" in flask.refused(4, *TAKE)
    listed = flask.json("snapshots", "list")
    assert [(s["id"], s["state"], s["server"], s["store"]) for s in listed] == [
        (1, "queued", "web-1", "main")
    ]
    assert listed[0]["job"]["state"] == "queued"
    assert listed[0]["requested_at"].endswith("Z")
    assert listed[0]["size"] is None


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (3, ["nothing", "--store", "main"]),
        (3, ["web-1", "--store", "nothing"]),
        (2, ["web-1"]),
        (2, ["web-1", "--store", "main", "--kind", "tape"]),
        (2, ["--store", "main"]),
    ],
)
def test_taking_is_refused(flask: Commands, customer: str, code: int, arguments: list[str]) -> None:
    assert flask.refused(code, "snapshots", "take", *arguments)
    assert flask.json("snapshots", "list") == []


def test_waiting_shows_progress_and_ends_with_the_snapshot(
    flask: Commands, worker: Worker, customer: str
) -> None:
    with worker(done):
        result = flask(*TAKE, "--wait")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Snapshot 1 of “web-1” is done: 3 MiB, 1 MiB sent, in ")
    assert "reading: 1 GiB of 4 GiB, 256 MiB/s, 12 s left" in result.stderr.splitlines()


def test_waiting_with_json_prints_the_end_alone(
    flask: Commands, worker: Worker, customer: str
) -> None:
    with worker(done):
        result = flask(*TAKE, "--wait", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["state"], document["size"], document["job"]) == ("done", 3 * 2**20, None)


@pytest.mark.parametrize(
    ("state", "job_state", "code"),
    [
        (SnapshotState.FAILED, JobState.FAILED, 1),
        (SnapshotState.BROKEN, JobState.LOST, 1),
        (SnapshotState.CANCELLED, JobState.CANCELLED, 5),
    ],
)
def test_waiting_tells_how_it_ended(
    flask: Commands,
    worker: Worker,
    customer: str,
    state: SnapshotState,
    job_state: JobState,
    code: int,
) -> None:
    with worker(_end(state, job_state, "The disk is missing.")):
        result = flask(*TAKE, "--wait")
    assert result.exit_code == code, result.output
    last = result.stderr.splitlines()[-1]
    if code == 1:
        assert last == f"Error: Snapshot 1 is {state}: The disk is missing."
    else:
        assert last == "Error: Snapshot 1 was cancelled."
    assert result.stdout == ""


def test_kinds_warn_of_missing_drivers(flask: Commands, runtime: Runtime, customer: str) -> None:
    """Each export in its own words; nothing is said before anybody looked."""
    assert all(offer["warnings"] == [] for offer in flask.json("snapshots", "kinds", "web-1"))
    with runtime.work() as work:
        [disk] = servers.find(work, Actor.support(), "web-1").disks
        disk.layout = Layout(
            size=2**30,
            to_read=2**20,
            drivers=Drivers(
                kernel="6.1.0-18-amd64",
                initramfs="initrd.img-6.1.0-18-amd64",
                early=("ahci", "sd_mod"),
                later=("mptspi",),
                absent=("ata_piix", "hv_storvsc", "piix", "ide_generic", "sym53c8xx"),
            ),
        ).as_text()
        work.commit()
    warnings = {
        offer["kind"]: offer["warnings"] for offer in flask.json("snapshots", "kinds", "web-1")
    }
    assert warnings["raw"] == warnings["tar"] == []
    [told] = warnings["vmdk"]
    assert told == (
        "This server's start-up files (kernel 6.1.0-18-amd64) hold no driver for VMware's LSI"
        " Logic SCSI controller: attach the disk as SATA instead, or add mptspi to"
        " /etc/initramfs-tools/modules and run update-initramfs -u first."
    )
    assert "the disks of Hyper-V and Azure" in warnings["vhd"][0]
    noted = " ".join(flask("snapshots", "kinds", "web-1").stderr.split())
    assert f"vmdk: {told}" in noted
    assert f"vhd: {warnings['vhd'][0]}" in noted


def test_cancelling(flask: Commands, runtime: Runtime, worker: Worker, customer: str) -> None:
    flask.ok(*TAKE)
    assert flask.ok("snapshots", "cancel", "1") == "Snapshot 1 is cancelled.\n"
    assert flask.refused(4, "snapshots", "cancel", "1")
    flask.ok(*TAKE)
    with worker(_end(SnapshotState.CANCELLED, JobState.CANCELLED)):
        _wait_until_running(runtime)
        assert flask.ok("snapshots", "cancel", "2", "--wait") == "Snapshot 2 is cancelled.\n"
    flask.ok(*TAKE)
    with worker(done):
        _wait_until_running(runtime)
        assert flask("snapshots", "cancel", "3", "--wait").exit_code == 1


def _wait_until_running(runtime: Runtime) -> None:
    deadline = time.monotonic() + 30
    running = select(Job.id).where(Job.state == JobState.RUNNING)
    while True:
        with runtime.work() as work:
            if work.session.scalar(running) is not None:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_deleting(flask: Commands, runtime: Runtime, worker: Worker, customer: str) -> None:
    flask.ok(*TAKE)
    assert "cancel it first" in flask.refused(4, "snapshots", "delete", "1")
    flask.ok("snapshots", "cancel", "1")
    assert flask.ok("snapshots", "delete", "1") == "Snapshot 1 is deleted.\n"
    assert flask.json("snapshots", "list") == []
    assert flask.json("snapshots", "list", "--state", "gone")[0]["id"] == 1
    number = _finished(flask, runtime)
    with worker(_end(SnapshotState.GONE, JobState.DONE)):
        said = flask.ok("snapshots", "delete", str(number), "--wait")
    assert said == f"Snapshot {number} is deleted.\n"
    number = _finished(flask, runtime)
    with worker(_end(SnapshotState.BROKEN, JobState.FAILED, "The store is full.")):
        result = flask("snapshots", "delete", str(number), "--wait")
    assert result.exit_code == 1
    assert "The store is full." in result.stderr


def test_showing_files_with_their_hashes(flask: Commands, runtime: Runtime, customer: str) -> None:
    number = str(_finished(flask, runtime))
    shown = flask.json("snapshots", "show", number)
    assert [file["name"] for file in shown["files"]] == ["web-1.raw.gz", "README.txt"]
    md5 = hashlib.md5(b"image", usedforsecurity=False).hexdigest()
    assert shown["files"][0]["md5"] == md5
    assert [job["state"] for job in shown["jobs"]] == ["done"]
    assert f"MD5:    {md5}" in flask.ok("snapshots", "show", number)


def test_an_address_to_download_from(flask: Commands, runtime: Runtime, customer: str) -> None:
    number = str(_finished(flask, runtime))
    printed = flask.ok("snapshots", "url", number)
    assert "web-1.raw.gz" in printed
    assert len(printed.splitlines()) == 1
    document = flask.json("snapshots", "url", number, "README.txt")
    assert document["seconds"] == 86400
    assert "README.txt" in document["url"]
    assert flask.refused(3, "snapshots", "url", number, "../web-1.raw.gz")
    waiting = str(flask.json(*TAKE)["id"])
    assert flask.refused(3, "snapshots", "url", waiting)
    assert flask.refused(4, "snapshots", "readme", waiting)


def test_what_a_store_holds_does_not_command_the_terminal(
    flask: Commands, runtime: Runtime, customer: str
) -> None:
    printed = flask.ok("snapshots", "readme", str(_finished(flask, runtime)))
    assert printed.startswith("MD5 (web-1.raw.gz) = …\n")
    assert "\x1b" not in printed
    assert "\\x1b[31m" in printed


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "9" * 30, ""])
def test_what_is_no_number_is_refused(flask: Commands, number: str) -> None:
    for command in ("show", "cancel", "delete", "url", "readme"):
        flask.refused(2, "snapshots", command, "--", number)


def test_what_is_not_there_is_not_found(flask: Commands) -> None:
    for command in ("show", "cancel", "delete", "url", "readme"):
        assert flask.refused(3, "snapshots", command, "77") == "There is no such snapshot."


def test_lists_are_narrowed(flask: Commands, runtime: Runtime, customer: str) -> None:
    first = _finished(flask, runtime)
    second = flask.json(*TAKE)["id"]
    assert [s["id"] for s in flask.json("snapshots", "list")] == [second, first]
    assert [s["id"] for s in flask.json("snapshots", "list", "--state", "done")] == [first]
    both = flask.json("snapshots", "list", "--state", "done", "--state", "queued")
    assert len(both) == 2
    assert len(flask.json("snapshots", "list", "--limit", "1")) == 1
    assert len(flask.json("snapshots", "list", "--server", "web-1", "--account", customer)) == 2
    assert flask.refused(3, "snapshots", "list", "--server", "nothing")
    assert flask.refused(2, "snapshots", "list", "--state", "nonsense")
