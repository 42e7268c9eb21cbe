"""`flask snapshots`: take, watch, cancel, delete, list, show, download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from portal.commands import documents
from portal.commands.amounts import between, clock, duration, size
from portal.commands.documents import json_option
from portal.commands.exits import EXPLAINED, Exit
from portal.commands.session import SUPPORT, Failed, PortalGroup, open_runtime, open_work
from portal.commands.table import note, print_facts, print_table, say
from portal.commands.waiting import progress_text, stage_of, wait
from portal.domain import amounts, exclusions
from portal.domain.errors import NotFound
from portal.domain.kinds import FACTS, Kind
from portal.domain.lifecycle import SnapshotState
from portal.domain.options import Options
from portal.records.file import FileRole
from portal.services import accounts, downloads, offers, servers, stores
from portal.services import snapshots as services
from portal.services.authority import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.records import Job, Snapshot, SnapshotFile
    from portal.services.offers import Offer
    from portal.services.snapshots import HistoryLine
    from portal.work import Runtime

_NO_REIMAGE = "other virtualisation: a server can never be re-imaged from it"

_number = click.argument("snapshot_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
_wait_option = click.option(
    "--wait", "waiting", is_flag=True, help="Stay until it has ended, with a progress bar."
)


@click.group("snapshots", cls=PortalGroup, epilog=EXPLAINED)
def group() -> None:
    """Snapshots: kinds, take, export, list, show, cancel, delete, url, readme."""


@group.command("take", epilog=EXPLAINED)
@click.argument("server")
@click.option("--store", required=True, metavar="NAME", help="Where it goes.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind]),
    default=Kind.RAW.value,
    show_default=True,
    help="; ".join(f"{kind.value}: {facts.purpose}" for kind, facts in FACTS.items()),
)
@click.option(
    "--every-sector",
    is_flag=True,
    help="Read unused space too, deleted files included; without it, it reads as zeros.",
)
@click.option("--gzip", is_flag=True, help="tar: compressed, as .tar.gz.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATH",
    help="tar: leave this out; repeat for more. A folder stays, without its content."
    " Without it: " + " ".join(exclusions.SUGGESTED),
)
@click.option("--exclude-nothing", is_flag=True, help="tar: leave nothing out.")
@click.option("--fixed", is_flag=True, help="vhd: every sector stands in the file (for Azure).")
@_wait_option
@json_option
def take(
    *,
    server: str,
    store: str,
    kind: str,
    every_sector: bool,
    gzip: bool,
    exclude: tuple[str, ...],
    exclude_nothing: bool,
    fixed: bool,
    waiting: bool,
    as_json: bool,
) -> None:
    """Take a snapshot of SERVER (name or number) into one of its customer's stores.

    Without --wait it only is asked for, and its number printed. With --wait the exit code tells
    how it ended: 0 done, 1 failed or broken, 5 cancelled. Ctrl-C ends the waiting, not the
    snapshot.

    \b
    Example:
      flask snapshots take web-1 --store main --wait
      flask snapshots take web-1 --store main --kind tar --gzip --exclude /srv/cache
    """
    options = _options(
        kind,
        every_sector=every_sector,
        gzip=gzip,
        exclude=exclude,
        exclude_nothing=exclude_nothing,
        fixed=fixed,
    )
    if options.exclude and not as_json:
        note("Left out: " + " ".join(options.exclude))
    if FACTS[Kind(kind)].export and not as_json:
        note(f"An export is for {_NO_REIMAGE}.")
    with open_runtime() as runtime:
        with runtime.work() as work:
            machine = servers.find(work, SUPPORT, server)
            target = stores.find(work, SUPPORT, store, account_id=machine.account_id)
            snapshot = services.take(work, SUPPORT, machine, target, kind, options=options)
            work.commit()
            line = services.line_of(work, snapshot)
            queue_down = work.queue_down
        _follow(runtime, line, queue_down=queue_down, waiting=waiting, as_json=as_json)


@group.command("export", epilog=EXPLAINED)
@_number
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind, facts in FACTS.items() if facts.export]),
    required=True,
    help="; ".join(
        f"{kind.value}: {facts.purpose}" for kind, facts in FACTS.items() if facts.export
    ),
)
@click.option(
    "--every-sector",
    is_flag=True,
    help="Unused space too, where the snapshot has it; without it, it reads as zeros.",
)
@click.option("--fixed", is_flag=True, help="vhd: every sector stands in the file (for Azure).")
@_wait_option
@json_option
def export(
    *, snapshot_id: int, kind: str, every_sector: bool, fixed: bool, waiting: bool, as_json: bool
) -> None:
    """Make an export of a raw snapshot that is stored; the server is not touched.

    It stands beside the snapshot, as one of its own. A server can never be re-imaged from an
    export. The exit codes are those of take.

    \b
    Example:
      flask snapshots export 12 --kind vmdk --wait
    """
    if fixed and kind != Kind.VHD:
        raise click.UsageError("--fixed is for --kind vhd.")
    with open_runtime() as runtime:
        with runtime.work() as work:
            origin = load_snapshot(work, SUPPORT, snapshot_id)
            options = Options(skip_unused=not every_sector, fixed=fixed)
            snapshot = services.export(work, SUPPORT, origin, kind, options=options)
            work.commit()
            line = services.line_of(work, snapshot)
            queue_down = work.queue_down
        _follow(runtime, line, queue_down=queue_down, waiting=waiting, as_json=as_json)


@group.command("kinds", epilog=EXPLAINED)
@click.argument("server")
@json_option
def kinds(*, server: str, as_json: bool) -> None:
    """Show what can be taken of SERVER, and about how big and how long each would be.

    What is known comes from the last look at its disks (flask servers inspect) and from what was
    taken before.

    \b
    Example:
      flask snapshots kinds web-1
    """
    with open_work() as work:
        machine = servers.find(work, SUPPORT, server)
        found = offers.offers(work, machine)
    if as_json:
        documents.emit([documents.offer(offer) for offer in found])
        return
    print_table(
        ("KIND", "READS", "SIZE", "TIME", "FITS"),
        [_offer_row(offer) for offer in found],
        right="READS SIZE TIME",
    )
    for told in dict.fromkeys(told for offer in found for told in offer.notes):
        note(f"Exports: {told}")
    for offer in found:
        for warning in offer.warnings:
            note(f"{offer.kind}: {warning}")


def _offer_row(offer: Offer) -> tuple[str, ...]:
    estimate = offer.estimate
    weighs = f"~ {size(estimate.size)}" if estimate.size is not None else ""
    if not weighs and estimate.most is not None:
        weighs = f"≤ {size(estimate.most)}"
    takes = f"~ {duration(amounts.rounded(estimate.seconds))}" if estimate.seconds else ""
    return (offer.kind.value, size(estimate.read), weighs, takes, offer.reason or "yes")


def _options(
    kind: str,
    *,
    every_sector: bool,
    gzip: bool,
    exclude: tuple[str, ...],
    exclude_nothing: bool,
    fixed: bool,
) -> Options:
    if fixed and kind != Kind.VHD:
        raise click.UsageError("--fixed is for --kind vhd.")
    if kind != Kind.TAR:
        if gzip or exclude or exclude_nothing:
            raise click.UsageError("--gzip and --exclude are for --kind tar.")
        return Options(skip_unused=not every_sector, fixed=fixed)
    if every_sector:
        raise click.UsageError("--every-sector is not for --kind tar: it has files, not sectors.")
    if exclude and exclude_nothing:
        raise click.UsageError("Either --exclude or --exclude-nothing.")
    chosen = () if exclude_nothing else exclude or exclusions.SUGGESTED
    return Options(gzip=gzip, exclude=exclusions.check(chosen))


@group.command("cancel", epilog=EXPLAINED)
@_number
@_wait_option
@json_option
def cancel(*, snapshot_id: int, waiting: bool, as_json: bool) -> None:
    """Cancel a snapshot that waits or runs.

    With --wait the exit code is 0 once it is cancelled, 1 if it ended otherwise before that.

    \b
    Example:
      flask snapshots cancel 12
    """
    with open_runtime() as runtime:
        with runtime.work() as work:
            snapshot = load_snapshot(work, SUPPORT, snapshot_id)
            services.cancel(work, SUPPORT, snapshot)
            work.commit()
            line = services.line_of(work, snapshot)
        if waiting:
            line = wait(runtime, line)
    state = line.snapshot.state
    if as_json:
        documents.emit(documents.snapshot(line.snapshot, line.job))
    if state is SnapshotState.CANCELLED:
        if not as_json:
            say(f"Snapshot {snapshot_id} is cancelled.")
    elif waiting:
        raise Failed(f"Snapshot {snapshot_id} was not cancelled: it is {state}.")
    elif not as_json:
        say(f"Snapshot {snapshot_id} is being cancelled.")


@group.command("delete", epilog=EXPLAINED)
@_number
@_wait_option
@json_option
def delete(*, snapshot_id: int, waiting: bool, as_json: bool) -> None:
    """Delete a snapshot from the store and the list; other snapshots keep all they need.

    With --wait the exit code is 0 once it is gone, 1 if something was left behind (delete again).

    \b
    Example:
      flask snapshots delete 12 --wait
    """
    with open_runtime() as runtime:
        with runtime.work() as work:
            snapshot = load_snapshot(work, SUPPORT, snapshot_id)
            services.delete(work, SUPPORT, snapshot)
            work.commit()
            line = services.line_of(work, snapshot)
            queue_down = work.queue_down
        if queue_down:
            note("Redis cannot be reached: the deletion starts by itself when it is back.")
        if waiting:
            line = wait(runtime, line)
    state = line.snapshot.state
    if as_json:
        documents.emit(documents.snapshot(line.snapshot, line.job))
    if state is SnapshotState.GONE:
        if not as_json:
            say(f"Snapshot {snapshot_id} is deleted.")
    elif waiting:
        raise Failed(f"Snapshot {snapshot_id} is {state}: {line.snapshot.error or 'not deleted'}")
    elif not as_json:
        say(f"Snapshot {snapshot_id} is being deleted.")


@group.command("list")
@click.option("--server", metavar="NAME", help="Only this server's (name or number).")
@click.option("--account", metavar="NAME", help="Only this customer's.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in SnapshotState]),
    help="Only in this state; repeat for more. Without it: all but those that are gone.",
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@json_option
def list_(
    *, server: str | None, account: str | None, states: tuple[str, ...], limit: int, as_json: bool
) -> None:
    """List snapshots, the newest first.

    \b
    Example:
      flask snapshots list --server web-1 --state done --json
    """
    with open_work() as work:
        found = services.list_snapshots(
            work,
            SUPPORT,
            server=servers.find(work, SUPPORT, server) if server is not None else None,
            account=accounts.find(work, SUPPORT, account) if account is not None else None,
            states=[SnapshotState(state) for state in states],
            limit=limit,
        )
    if as_json:
        documents.emit([documents.snapshot(line.snapshot, line.job) for line in found])
    else:
        print_table(
            ("ID", "SERVER", "KIND", "STATE", "REQUESTED (UTC)", "TOOK", "SIZE", "SENT", "STORE"),
            [_row(line) for line in found],
            right="ID TOOK SIZE SENT",
        )


@group.command("show")
@_number
@json_option
def show(*, snapshot_id: int, as_json: bool) -> None:
    """Show a snapshot: its files with their hashes, its jobs, and what went wrong.

    \b
    Example:
      flask snapshots show 12
    """
    with open_work() as work:
        snapshot = load_snapshot(work, SUPPORT, snapshot_id)
        line = services.line_of(work, snapshot)
        files = downloads.files(work, snapshot)
        jobs = list(snapshot.jobs)
    if as_json:
        documents.emit(
            {
                **documents.snapshot(snapshot, line.job),
                "files": [documents.file(file) for file in files],
                "jobs": [documents.job(job) for job in jobs],
            }
        )
        return
    _print_snapshot(line)
    for file in files:
        _print_file(file)
    for job in jobs:
        _print_job(job)


@group.command("url")
@_number
@click.argument("file", required=False)
@json_option
def url(*, snapshot_id: int, file: str | None, as_json: bool) -> None:
    """Print an address from which anybody can download FILE for 24 hours.

    Without FILE: the image, where the snapshot has one disk.

    \b
    Example:
      curl -o web-1.raw.gz "$(flask snapshots url 12 web-1.raw.gz)"
    """
    with open_work() as work:
        snapshot = load_snapshot(work, SUPPORT, snapshot_id)
        found = (
            downloads.find_file(work, snapshot, file)
            if file is not None
            else _only_image(downloads.files(work, snapshot))
        )
        address = downloads.link(work, snapshot, found)
    if as_json:
        documents.emit({**documents.file(found), "url": address, "seconds": downloads.LINK_SECONDS})
    else:
        click.echo(address)


@group.command("readme")
@_number
def readme(*, snapshot_id: int) -> None:
    """Print the snapshot's README.txt, as it stands in the store.

    \b
    Example:
      flask snapshots readme 12
    """
    with open_work() as work:
        text = downloads.readme(work, load_snapshot(work, SUPPORT, snapshot_id))
    for line in text.splitlines():
        say(line)


def _only_image(files: Sequence[SnapshotFile]) -> SnapshotFile:
    images = [file for file in files if file.role is FileRole.IMAGE]
    if not images:
        raise NotFound("This snapshot has no image file.")
    if len(images) > 1:
        raise click.UsageError("Name one FILE of: " + ", ".join(file.label for file in images))
    return images[0]


def _follow(
    runtime: Runtime, line: HistoryLine, *, queue_down: bool, waiting: bool, as_json: bool
) -> None:
    """Tell of a snapshot that was just asked for; `waiting`, of its end."""
    named = f"Snapshot {line.snapshot.id} of “{line.snapshot.server.name}”"
    if queue_down:
        note("Redis cannot be reached: the snapshot starts by itself when it is back.")
    if waiting:
        if not as_json:
            note(named)
        line = wait(runtime, line)
    if as_json:
        documents.emit(documents.snapshot(line.snapshot, line.job))
    if waiting:
        _end_of_taking(line.snapshot, quiet=as_json)
    elif not as_json:
        say(f"{named} is {line.snapshot.state}.")


def _end_of_taking(snapshot: Snapshot, *, quiet: bool) -> None:
    state = snapshot.state
    if state is SnapshotState.DONE:
        if not quiet:
            took = duration(between(snapshot.started_at, snapshot.finished_at))
            say(
                f"Snapshot {snapshot.id} of “{snapshot.server.name}” is done:"
                f" {size(snapshot.size)}, {size(snapshot.sent)} sent, in {took}."
            )
        return
    if state is SnapshotState.CANCELLED:
        raise Failed(f"Snapshot {snapshot.id} was cancelled.", Exit.CANCELLED)
    raise Failed(f"Snapshot {snapshot.id} is {state}: {snapshot.error or 'no reason was kept.'}")


def _row(line: HistoryLine) -> tuple[str, ...]:
    snapshot = line.snapshot
    state = snapshot.state.value
    if line.job and line.job.bytes_total:
        state += f" {min(100, 100 * line.job.bytes_done // line.job.bytes_total)} %"
    return (
        str(snapshot.id),
        snapshot.server.name,
        snapshot.kind.value,
        state,
        clock(snapshot.requested_at),
        duration(between(snapshot.started_at, snapshot.finished_at)),
        size(snapshot.size),
        size(snapshot.sent) if snapshot.started_at else "",
        snapshot.store.name,
    )


def _print_snapshot(line: HistoryLine) -> None:
    snapshot, job = line.snapshot, line.job
    print_facts(
        [
            ("Snapshot", str(snapshot.id)),
            ("Server", f"{snapshot.server.name} (account {snapshot.server.account.name})"),
            ("Store", snapshot.store.name),
            ("Folder", snapshot.folder),
            ("Kind", snapshot.kind.value),
            ("For", _NO_REIMAGE if FACTS[snapshot.kind].export else ""),
            ("State", snapshot.state.value),
            ("Now", f"{stage_of(line)} {progress_text(job)}".strip() if job else ""),
            ("Error", snapshot.error or ""),
            ("Requested", f"{clock(snapshot.requested_at)} UTC"),
            ("Took", duration(between(snapshot.started_at, snapshot.finished_at))),
            ("Disks", size(snapshot.source)),
            ("Size", size(snapshot.size)),
            ("Sent", size(snapshot.sent) if snapshot.started_at else ""),
            ("Reused", size(snapshot.reused) if snapshot.started_at else ""),
        ]
    )


def _print_file(file: SnapshotFile) -> None:
    click.echo()
    print_facts(
        [
            ("File", file.label + ("" if file.stored else " (not in the store)")),
            ("Bytes", str(file.size) if file.size is not None else ""),
            ("MD5", file.md5 or ""),
            ("SHA-256", file.sha256 or ""),
        ]
    )


def _print_job(job: Job) -> None:
    click.echo()
    print_facts(
        [
            ("Job", f"{job.id}, {job.kind}, {job.state}"),
            ("Worker", job.worker),
            ("Step", job.step),
            ("Started", f"{clock(job.started_at)} UTC" if job.started_at else ""),
            ("Ended", f"{clock(job.ended_at)} UTC" if job.ended_at else ""),
            ("Error", job.error or ""),
        ]
    )
