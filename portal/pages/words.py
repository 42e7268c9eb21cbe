"""Numbers and times in plain words, for templates.

Times are UTC and say so; sizes are in powers of 1,024, as disks are cut.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from portal.domain import amounts
from portal.domain.kinds import FACTS
from portal.records.declarative import now

if TYPE_CHECKING:
    from datetime import datetime

    from flask import Flask

    from portal.services.offers import Estimate

NOTHING = "\N{EN DASH}"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def size(count: float | None) -> str:
    """`512 bytes`, `4 GiB`, `1.2 GiB`, `310 MiB`."""
    return NOTHING if count is None else amounts.size(count)


def exact_size(count: int | None) -> str:
    """`4,294,967,296 bytes`."""
    return NOTHING if count is None else f"{count:,} byte{'' if count == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """`45 s`, `2 min 5 s`, `1 h 4 min`."""
    return NOTHING if seconds is None else amounts.duration(seconds)


def time_left(seconds: float) -> str:
    """`a few seconds left`, `about 25 s left`, `about 3 min left`: coarse, to keep still."""
    if seconds < 5:
        return "a few seconds left"
    if seconds < 55:
        return f"about {round(seconds / 5) * 5} s left"
    return f"about {duration(max(1, round(seconds / _MINUTE)) * _MINUTE)} left"


def moment(at: datetime | None) -> str:
    """`22 Nov 2026, 20:17`."""
    if at is None:
        return NOTHING
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at.hour:02}:{at.minute:02}"


def exact_moment(at: datetime) -> str:
    """`22 Nov 2026, 20:17:46 UTC`."""
    return f"{moment(at)}:{at.second:02} UTC"


def machine_moment(at: datetime) -> str:
    """For `<time datetime>`: `2026-11-22T20:17:46Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(at: datetime | None) -> str:
    """`just now`, `5 min ago`, `never`."""
    if at is None:
        return "never"
    seconds = (now() - at).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    unit = _DAY if seconds >= _DAY else _HOUR if seconds >= _HOUR else _MINUTE
    return f"{duration(seconds // unit * unit)} ago"


def estimate_words(estimate: Estimate) -> str:
    """`About 1.2 GiB, about 3 min`; what is not known is left out, or said."""
    if estimate.size is not None:
        told = f"About {size(estimate.size)}"
    else:
        told = f"At most {size(estimate.most)}"
    if estimate.seconds is None:
        return f"{told}; how long is not known yet"
    return f"{told}, about {amounts.duration(amounts.rounded(estimate.seconds))}"


def register(app: Flask) -> None:
    """Make these words known to templates."""
    app.jinja_env.filters.update(
        size=size,
        exact_size=exact_size,
        duration=duration,
        estimate_words=estimate_words,
        moment=moment,
        exact_moment=exact_moment,
        machine_moment=machine_moment,
        ago=ago,
        shell=shlex.quote,
    )
    app.jinja_env.globals.update(kind_facts=FACTS)
