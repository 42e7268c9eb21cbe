"""`flask doctor`: looks at everything that Snapport stands on, and says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from sqlalchemy.exc import DBAPIError

from portal.commands import documents
from portal.commands.amounts import duration
from portal.commands.documents import json_option
from portal.commands.exits import Exit
from portal.commands.session import SUPPORT, Failed, PortalCommand, open_runtime
from portal.commands.table import print_table
from portal.domain.errors import SnapportError
from portal.records.declarative import now
from portal.services import hosts, servers, stores
from portal.services.overview import HOST_AWAY_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal.work import Runtime, Work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


@click.command("doctor", cls=PortalCommand)
@json_option
def command(*, as_json: bool) -> None:
    """Check the database, Redis, the key, every store and every host's worker.

    The exit code is 0 where all is well, 6 where something is not.

    \b
    Example:
      flask doctor
    """
    with open_runtime() as runtime:
        findings = list(examine(runtime))
    if as_json:
        documents.emit([{"what": f.what, "ok": f.ok, "detail": f.detail} for f in findings])
    else:
        print_table(
            ("WHAT", "STATE", "DETAIL"),
            [(f.what, "ok" if f.ok else "WRONG", f.detail) for f in findings],
        )
    wrong = sum(not finding.ok for finding in findings)
    if wrong:
        raise Failed(
            "One thing is wrong." if wrong == 1 else f"{wrong} things are wrong.",
            Exit.UNREACHABLE,
        )


def examine(runtime: Runtime) -> Iterator[Finding]:
    """Look at one thing after the other; what needs the database only where it answers."""
    from portal.records import migrate

    if runtime.queue.reachable():
        yield Finding("redis", ok=True, detail="answers")
    else:
        yield Finding("redis", ok=False, detail="does not answer at SNAPPORT_REDIS_URL")
    where = runtime.engine.url.render_as_string(hide_password=True)
    try:
        pending = migrate.pending(runtime.engine)
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        yield Finding("database", ok=False, detail=f"{where}: {reason[:200]}")
        return
    if pending:
        yield Finding("database", ok=False, detail=f"{where}: run “flask database upgrade”")
        return
    yield Finding("database", ok=True, detail=where)
    with runtime.work() as work:
        yield from _stores(work)
        yield from _hosts(work)


def _stores(work: Work) -> Iterator[Finding]:
    for record in stores.list_stores(work, SUPPORT):
        what = f"store {record.id} {record.account.name}/{record.name}"
        try:
            store = stores.open_store_of(work, record, hurry=True)
            try:
                store.ensure_container()
            finally:
                store.close()
        except SnapportError as error:
            yield Finding(what, ok=False, detail=error.message)
        else:
            yield Finding(what, ok=True, detail=f"answers at {record.address}")


def _hosts(work: Work) -> Iterator[Finding]:
    used = {server.host_name for server in servers.list_servers(work, SUPPORT)}
    for host in hosts.list_hosts(work, SUPPORT):
        what = f"host {host.name}"
        if host.seen_at is None:
            yield Finding(what, ok=host.name not in used, detail="its worker was never seen")
            continue
        silent = now() - host.seen_at
        yield Finding(
            what,
            ok=silent <= HOST_AWAY_AFTER or host.name not in used,
            detail=f"its worker was seen {duration(silent.total_seconds())} ago",
        )
