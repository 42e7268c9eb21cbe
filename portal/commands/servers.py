"""`flask servers`: the customers' machines and their disks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from portal.commands import documents
from portal.commands.amounts import clock, size
from portal.commands.documents import json_option
from portal.commands.session import (
    SUPPORT,
    Failed,
    PortalGroup,
    load_settings,
    open_runtime,
    open_work,
)
from portal.commands.table import print_facts, print_table, say
from portal.domain.lifecycle import ACTIVE_JOBS, JobState
from portal.services import accounts, inspections, snapshots
from portal.services import servers as services

if TYPE_CHECKING:
    from portal.domain.layout import Layout
    from portal.records import Disk, Server
    from portal.work import Runtime

_LOOK_SECONDS = 0.3
_TABLES = {"none": "no partition table", "mbr": "MBR", "gpt": "GPT"}


@click.group("servers", cls=PortalGroup)
def group() -> None:
    """Servers and their disks: add, list, show, inspect."""


@group.command("add")
@click.argument("name")
@click.option("--account", required=True, metavar="NAME", help="The customer it belongs to.")
@click.option("--os", "operating_system", default="", metavar="TEXT", help='Like "Debian 12".')
@click.option(
    "--host",
    metavar="NAME",
    help="The host that holds the disks and runs a worker [default: SNAPPORT_HOST].",
)
@click.option(
    "--disk",
    "disks",
    multiple=True,
    required=True,
    metavar="[DRIVER:]PATH",
    help="A disk: file:/path or block:/dev/…; repeat for more, in order.",
)
@json_option
def add(
    *,
    name: str,
    account: str,
    operating_system: str,
    host: str | None,
    disks: tuple[str, ...],
    as_json: bool,
) -> None:
    """Add a server of a customer, with its disks on a host.

    The disks are first opened when a snapshot is taken, by the worker of that host.

    \b
    Example:
      flask servers add web-1 --account "Example Ltd" --os "Debian 12" --host kvm-3 \\
        --disk block:/dev/vg0/web-1
    """
    with open_work() as work:
        server = services.add(
            work,
            SUPPORT,
            account=accounts.find(work, SUPPORT, account),
            name=name,
            operating_system=operating_system,
            host=load_settings().host if host is None else host,
            disks=[_disk(text) for text in disks],
        )
        work.commit()
    if as_json:
        documents.emit(documents.server(server))
    else:
        say(f"Server {server.id} “{server.name}” is added, on host “{server.host_name}”.")


@group.command("list")
@click.option("--account", metavar="NAME", help="Only this customer's.")
@json_option
def list_(*, account: str | None, as_json: bool) -> None:
    """List the servers by name.

    \b
    Example:
      flask servers list --account "Example Ltd"
    """
    with open_work() as work:
        found = services.list_servers(work, SUPPORT)
        if account is not None:
            owner = accounts.find(work, SUPPORT, account)
            found = [server for server in found if server.account_id == owner.id]
        _ = [server.disks for server in found]  # read while the database is open
    if as_json:
        documents.emit([documents.server(server) for server in found])
    else:
        print_table(
            ("ID", "NAME", "ACCOUNT", "SYSTEM", "HOST", "DISKS"),
            [
                (
                    str(server.id),
                    server.name,
                    server.account.name,
                    server.operating_system,
                    server.host_name,
                    str(len(server.disks)),
                )
                for server in found
            ],
            right="ID DISKS",
        )


@group.command("show")
@click.argument("name")
@json_option
def show(*, name: str, as_json: bool) -> None:
    """Show a server (NAME or number): its disks, its snapshots, the job that is active.

    \b
    Example:
      flask servers show web-1
    """
    with open_work() as work:
        server = services.find(work, SUPPORT, name)
        count = snapshots.count(work, SUPPORT, server)
        active = snapshots.active_job(work, server)
        document = {
            **documents.server(server),
            "snapshots": count,
            "job": documents.job(active) if active else None,
        }
    if as_json:
        documents.emit(document)
        return
    print_facts(
        [
            ("Server", f"{server.name} (number {server.id})"),
            ("Account", server.account.name),
            ("System", server.operating_system),
            ("Host", server.host_name),
            ("Folder", server.folder),
            *(
                (
                    f"Disk {disk.position}",
                    f"{disk.driver}:{disk.address}"
                    + (f", {size(disk.size)}" if disk.size is not None else ", not seen yet"),
                )
                for disk in server.disks
            ),
            ("Snapshots", str(count)),
            (
                "Active job",
                f"{active.kind} of snapshot {active.snapshot_id}, {active.state}" if active else "",
            ),
            ("Added", f"{clock(server.created_at)} UTC"),
        ]
    )


def _disk(text: str) -> tuple[str, str]:
    if text.startswith("/"):
        return ("block" if text.startswith("/dev/") else "file"), text
    driver, colon, address = text.partition(":")
    if not colon:
        raise click.BadParameter(f"“{text}” is not DRIVER:PATH", param_hint="--disk")
    return driver, address


@group.command("inspect")
@click.argument("name")
@click.option("--last", is_flag=True, help="Tell what was found last; do not look again.")
@json_option
def inspect(*, name: str, last: bool, as_json: bool) -> None:
    """Look at a server's disks (NAME or number): partitions, file systems, what is used.

    The worker of the server's host looks; this waits for it. A partition whose unused space is not
    left out of raw snapshots is told with the reason.

    \b
    Example:
      flask servers inspect web-1
    """
    with open_runtime() as runtime:
        with runtime.work() as work:
            server = services.find(work, SUPPORT, name)
            if not last:
                inspections.ask(work, SUPPORT, server)
                work.commit()
        if not last:
            _wait_for_inspection(runtime, server)
        with runtime.work() as work:
            server = services.find(work, SUPPORT, str(server.id))
            layouts = [(disk, inspections.layout_of(disk)) for disk in server.disks]
    if as_json:
        documents.emit([documents.layout(disk, layout) for disk, layout in layouts])
        return
    for disk, layout in layouts:
        _print_layout(disk, layout)


def _wait_for_inspection(runtime: Runtime, server: Server) -> None:
    while True:
        with runtime.work() as work:
            job = inspections.latest_job(work, server)
        if job is None or job.state not in ACTIVE_JOBS:
            break
        time.sleep(_LOOK_SECONDS)
    if job is not None and job.state is not JobState.DONE:
        raise Failed(job.error or "The disk could not be looked at.")


def _print_layout(disk: Disk, layout: Layout | None) -> None:
    if layout is None:
        say(f"Disk {disk.position}: no worker has looked at it yet.")
        return
    say(
        f"Disk {disk.position}: {size(layout.size)}, {_TABLES.get(layout.table, layout.table)},"
        f" {size(layout.to_read)} to read."
    )
    if layout.reason:
        say(f"  It is taken whole: {layout.reason}")
    print_table(
        ("NO", "START", "SIZE", "FILE SYSTEM", "LABEL", "USED", "UNUSED SPACE"),
        [
            (
                str(part.number),
                str(part.start),
                size(part.length),
                part.file_system or "unknown",
                part.volume or part.label,
                "" if part.used is None else size(part.used),
                part.reason or "left out",
            )
            for part in layout.partitions
        ],
        right="NO START SIZE USED",
    )
