"""The exit codes of every command: a script's contract. Numbers are never given another meaning."""

from __future__ import annotations

from enum import IntEnum

from portal.domain import errors
from portal.vault import VaultError


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    """What was asked for was tried and failed, or something unexpected happened."""
    USAGE = 2
    """The command line, or a value in it, cannot be used."""
    NOT_FOUND = 3
    CONFLICT = 4
    """Not in the present state: another job is active, the name is taken …"""
    CANCELLED = 5
    UNREACHABLE = 6
    """The database, Redis or the object store cannot be reached, or refuses us."""
    MISCONFIGURED = 7
    """A setting, the key or the database's version is wrong: nothing works before that is right."""
    INTERRUPTED = 130
    """Ctrl-C; what was asked for goes on."""


EXPLAINED = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not in this state (busy, taken), "
    "5 cancelled, 6 database, Redis or store unreachable, 7 misconfigured, 130 interrupted."
)

_CODES: tuple[tuple[type[errors.SnapportError], Exit], ...] = (
    (errors.InvalidInput, Exit.USAGE),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.Conflict, Exit.CONFLICT),
    (errors.JobCancelled, Exit.CANCELLED),
    (errors.QueueUnavailable, Exit.UNREACHABLE),
    (errors.StoreError, Exit.UNREACHABLE),
    (VaultError, Exit.MISCONFIGURED),
)


def code_of(error: errors.SnapportError) -> Exit:
    """The exit code that this error ends a command with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)
