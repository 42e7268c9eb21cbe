"""What `--json` prints: one shape a noun.

What must always hold: keys are stable (new ones may come, none goes or changes its meaning); times
are ISO 8601 in UTC ending in `Z`; sizes are bytes as integers; what is not known is null; no
secret is ever among them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import datetime

    from portal.domain.layout import Layout
    from portal.records import (
        Account,
        Disk,
        Host,
        Job,
        Server,
        Snapshot,
        SnapshotFile,
        StoreRecord,
        User,
    )
    from portal.services.offers import Offer

Document = dict[str, Any]

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs (stable keys, bytes, UTC)."
)


def emit(document: Document | list[Document]) -> None:
    """Print it. ASCII only, so that no terminal or encoding can be upset by a name."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=True))


def moment(at: datetime | None) -> str | None:
    """`2026-11-22T20:17:46.123456Z`."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z") if at else None


def account(of: Account) -> Document:
    """An account."""
    return {"id": of.id, "name": of.name, "created_at": moment(of.created_at)}


def user(of: User) -> Document:
    """A user; `account` is null for support."""
    return {
        "id": of.id,
        "email": of.email,
        "role": of.role.value,
        "account": of.account.name if of.account else None,
        "created_at": moment(of.created_at),
    }


def server(of: Server) -> Document:
    """A server; a disk's size is null until a worker has seen it."""
    return {
        "id": of.id,
        "name": of.name,
        "account": of.account.name,
        "operating_system": of.operating_system,
        "host": of.host_name,
        "folder": of.folder,
        "disks": [
            {
                "position": disk.position,
                "driver": disk.driver,
                "address": disk.address,
                "size": disk.size,
            }
            for disk in of.disks
        ],
        "created_at": moment(of.created_at),
    }


def layout(of: Disk, found: Layout | None) -> Document:
    """What a disk held when a worker last looked; null before."""
    return {
        "position": of.position,
        "inspected_at": moment(of.inspected_at),
        "layout": asdict(found) if found else None,
    }


def store(of: StoreRecord) -> Document:
    """A store, without its credentials."""
    return {
        "id": of.id,
        "name": of.name,
        "account": of.account.name,
        "driver": of.driver,
        "address": of.address,
        "created_at": moment(of.created_at),
    }


def job(of: Job) -> Document:
    """A job; `bytes_done` and `bytes_total` are of the source, `bytes_sent` of the wire."""
    return {
        "id": of.id,
        "kind": of.kind.value,
        "state": of.state.value,
        "worker": of.worker or None,
        "step": of.step or None,
        "bytes_done": of.bytes_done,
        "bytes_total": of.bytes_total,
        "bytes_sent": of.bytes_sent,
        "bytes_per_second": round(of.rate),
        "created_at": moment(of.created_at),
        "started_at": moment(of.started_at),
        "ended_at": moment(of.ended_at),
        "cancel_requested_at": moment(of.cancel_requested_at),
        "error": of.error,
    }


def file(of: SnapshotFile) -> Document:
    """A file that can be downloaded; hashes are of the download."""
    return {
        "name": of.label,
        "role": of.role.value,
        "disk": of.disk or None,
        "size": of.size,
        "md5": of.md5,
        "sha256": of.sha256,
        "source_size": of.source_size,
        "stored": of.stored,
    }


def snapshot(of: Snapshot, active: Job | None) -> Document:
    """A snapshot, with the job that works on it now (null where none does)."""
    return {
        "id": of.id,
        "server": of.server.name,
        "server_id": of.server_id,
        "account": of.server.account.name,
        "store": of.store.name,
        "store_id": of.store_id,
        "kind": of.kind.value,
        "options": asdict(of.choices),
        "origin": of.origin_id,
        "state": of.state.value,
        "folder": of.folder,
        "size": of.size,
        "source_size": of.source,
        "sent": of.sent,
        "reused": of.reused,
        "requested_at": moment(of.requested_at),
        "started_at": moment(of.started_at),
        "finished_at": moment(of.finished_at),
        "error": of.error,
        "job": job(active) if active else None,
    }


def offer(of: Offer) -> Document:
    """What may be taken of a server; `reason` is null where it fits."""
    return {
        "kind": of.kind.value,
        "reason": of.reason,
        "estimate": asdict(of.estimate),
        "notes": list(of.notes),
        "warnings": list(of.warnings),
    }


def host(of: Host) -> Document:
    """A host; `seen_at` is null until its worker has shown life."""
    return {"name": of.name, "seen_at": moment(of.seen_at)}
