"""What a person reads on a terminal: aligned columns and lists of facts, plain text.

What must always hold: nothing that came from a person's hands reaches the terminal as a control
character, an escape sequence or an invisible mark; columns line up in every script.
"""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Persian, Indic scripts and emoji need these; they command nothing."""


def printable(text: str) -> str:
    """The text with what cannot be seen, or would command the terminal, as `\\u…` escapes."""
    return "".join(
        c.encode("unicode_escape").decode("ascii")
        if unicodedata.category(c) in _UNSEEN and c not in _JOINERS
        else c
        for c in text
    )


def say(text: str) -> None:
    """A line on the standard output, whatever its encoding can show."""
    click.echo(_fit(printable(text), sys.stdout.encoding))


def note(text: str) -> None:
    """A line on the standard error: not the answer, but good to know."""
    click.echo(_fit(printable(text), sys.stderr.encoding), err=True)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> None:
    """Rows under upper-case heads; the columns named in `right` (heads, by space) stand right."""
    cells = [[printable(cell) or "-" for cell in row] for row in rows]
    widths = [
        max(cell_len(line[column]) for line in [list(heads), *cells])
        for column in range(len(heads))
    ]
    to_right = [head in right.split() for head in heads]
    click.secho(_line(heads, widths, to_right), bold=True)
    for row in cells:
        click.echo(_fit(_line(row, widths, to_right), sys.stdout.encoding))


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """One fact a line: its name, its value; lines without a value are left out."""
    shown = [(name, printable(value)) for name, value in facts if value]
    width = max((cell_len(name) for name, _ in shown), default=0) + 1
    for name, value in shown:
        click.echo(_fit(f"{name + ':':<{width}}  {value}", sys.stdout.encoding))


def _line(cells: Sequence[str], widths: Sequence[int], to_right: Sequence[bool]) -> str:
    padded = []
    for cell, width, right in zip(cells, widths, to_right, strict=True):
        gap = " " * (width - cell_len(cell))
        padded.append(gap + cell if right else cell + gap)
    return "  ".join(padded).rstrip()


def _fit(text: str, encoding: str | None) -> str:
    return text.encode(encoding or "utf-8", "replace").decode(encoding or "utf-8")
