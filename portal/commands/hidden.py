"""How commands are given secrets: typed unseen, or on the standard input, never as an argument.

An argument can be read by everybody on the machine (`ps`) and stays in the shell's history.
"""

from __future__ import annotations

import secrets
import sys

import click

_MOST = 4096


def from_stdin(what: str) -> str:
    """The first line of the standard input."""
    line = sys.stdin.readline(_MOST + 1)
    if len(line) > _MOST:
        raise click.UsageError(f"The {what} on the standard input is too long")
    line = line.rstrip("\r\n")
    if not line:
        raise click.UsageError(f"There is no {what} on the standard input")
    return line


def typed(what: str, *, instead: str, twice: bool) -> str:
    """Asked for on the terminal, unseen; where there is no terminal, a usage error."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask for the {what}: give {instead}")
    answer: str = click.prompt(
        what.capitalize(), hide_input=True, confirmation_prompt=twice, err=True
    )
    return answer


def generated() -> str:
    """A password that nobody has to think of: 120 bits."""
    return secrets.token_urlsafe(15)
