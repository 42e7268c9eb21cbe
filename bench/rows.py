"""A row of the table: what was measured, against what, and whether that is enough."""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

_ENOUGH: dict[str, Callable[[float, float], bool]] = {
    "≥": operator.ge,
    "≤": operator.le,
    "=": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    `ours` and `peer` are medians in `unit`; `ratio` is how many times better ours is where the
    unit is seconds, else ours over the peer. `target` is what the row asks of `judged`.
    """

    name: str
    what: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    sense: Literal["≥", "≤", "="]
    target: float
    judged: Literal["ratio", "ours"] = "ratio"
    spread: tuple[float, float] | None = None
    """The least and the greatest ratio of a turn."""
    runs: int = 1
    limit: float | None = None
    """The least that `ours` could be on this machine, in `unit`; and what sets it."""
    limit_by: str = ""
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        judged = self.ratio if self.judged == "ratio" else self.ours
        return judged is not None and _ENOUGH[self.sense](judged, self.target)

    def as_json(self) -> dict[str, Any]:
        """For results.json."""
        facts = {key: value for key, value in asdict(self).items() if value not in (None, "")}
        facts |= {"peer": self.peer, "ratio": self.ratio, "met": self.met}
        if self.limit:
            facts["of_limit"] = round(self.limit / self.ours, 3) if self.ours else None
        return facts


HEADINGS = ("row", "ours", "peer", "unit", "ratio", "target", "met", "limit", "of limit")


def table(rows: list[Row]) -> str:
    """The rows for people, with what is measured below each name."""
    lines = [_cells(row) for row in rows]
    widths = [max(len(line[at]) for line in [HEADINGS, *lines]) for at in range(len(HEADINGS))]
    text = [_line(HEADINGS, widths), _line(["─" * width for width in widths], widths)]
    for row, cells in zip(rows, lines, strict=True):
        text += [_line(cells, widths), f"    {row.what}"]
        if row.limit_by:
            text.append(f"    limit: {row.limit_by}")
        if row.note:
            text.append(f"    {row.note}")
    return "\n".join(text)


def _cells(row: Row) -> tuple[str, ...]:
    of_limit = f"{row.limit / row.ours:.0%}" if row.limit and row.ours else ""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    if row.spread and row.runs > 1:
        ratio += f" ({row.spread[0]:.2f} to {row.spread[1]:.2f})"
    return (
        row.name,
        number(row.ours),
        number(row.peer),
        row.unit,
        ratio,
        f"{row.sense} {number(row.target)}",
        "yes" if row.met else "NO",
        number(row.limit),
        of_limit,
    )


def number(value: float | None) -> str:
    """Short, and exact where it is whole."""
    if value is None:
        return ""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _line(cells: tuple[str, ...] | list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
