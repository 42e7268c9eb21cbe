"""Deleting many objects, in bulk where the service offers it.

What must always hold:
- Each name's own result is looked at: a bulk delete answers 200 whatever happened.
- A name that was not there is fine; one that could not be deleted is an error after the retries.
- Only objects are deleted: a line without an object's name would delete a container.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING

from portal.domain.errors import StoreUnreachable
from portal.stores.rules import check_name
from portal.stores.swift_errors import error_of
from portal.stores.swift_lane import SLOWEST
from portal.stores.swift_session import Exchange, SwiftSession, is_success, object_path

if TYPE_CHECKING:
    from collections.abc import Iterable

BATCH = 1000
"""Names in a request: about 9 s of a small Swift's time, and 1 MB of memory at most."""
SECONDS_EACH = 2.0
"""How long one deletion in a bulk may take."""
LONGEST_LINE = 1400
"""Bytes: Swift reads lines in pieces of about 1,500 bytes and may stumble over longer ones."""

_ESCAPED = re.compile(rb"[%\x00-\x20\x7f]")


def delete_all(session: SwiftSession, names: Iterable[str], *, bulk: int) -> int:
    """How many were there. `bulk`: names a request; 0 deletes one by one."""
    waiting = iter(names)
    deleted = 0
    while batch := list(islice(waiting, min(BATCH, bulk) or BATCH)):
        lines = [(_line(session.config.container, check_name(name)), name) for name in batch]
        short = [line for line, _ in lines if bulk and len(line) <= LONGEST_LINE]
        if short:
            deleted += _bulk(session, short)
        for line, name in lines:
            if not bulk or len(line) > LONGEST_LINE:
                deleted += delete_one(session, name)
    return deleted


def delete_one(session: SwiftSession, name: str) -> bool:
    """Whether it was there. After a broken connection, a repeated DELETE finds it gone."""
    path = object_path(session.config.container, name)
    return session.ask("DELETE", path, what=f"the object “{name}”", fine=(404,)).status != 404


def _bulk(session: SwiftSession, lines: list[bytes]) -> int:
    body = b"\n".join(lines) + b"\n"
    deleted = 0

    def action(exchange: Exchange) -> None:
        nonlocal deleted
        answer = exchange.ask(
            "POST",
            "?bulk-delete",
            headers={"Content-Type": "text/plain", "Accept": "application/json"},
            body=body,
            seconds=exchange.lane.silence + len(body) / SLOWEST + SECONDS_EACH * len(lines),
        )
        if not is_success(answer.status):
            raise exchange.error(answer, "the objects to delete")
        try:
            told = json.loads(answer.body)
            deleted += int(told["Number Deleted"])
            status = int(told["Response Status"][:3])
            failed = [int(str(reason)[:3]) for _, reason in told["Errors"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StoreUnreachable(
                f"The store at {exchange.lane.host} did not say what it deleted."
            ) from error
        for bad in (*failed, status):
            if not is_success(bad):
                # Repeating the whole batch is safe: what is gone counts as not found.
                raise error_of(bad, host=exchange.lane.host, what="the objects to delete")

    session.attempt(action)
    return deleted


def _line(container: str, name: str) -> bytes:
    """As few escapes as possible keep lines short: UTF-8 may stand as it is."""
    path = f"/{container}/{name}".encode()
    return _ESCAPED.sub(lambda found: b"%%%02X" % found[0][0], path)
