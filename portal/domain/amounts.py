"""Amounts in plain words: sizes in powers of 1,024, as disks are cut, and lengths of time."""

from __future__ import annotations

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def size(count: float) -> str:
    """`512 bytes`, `4 GiB`, `1.2 GiB`, `310 MiB`."""
    if count < 1024:
        return "1 byte" if round(count) == 1 else f"{round(count)} bytes"
    value = count / 1024
    for unit in _UNITS:
        # 1023.96 would be shown as 1024.0 of a unit: that is one of the next.
        if value < 1023.95 or unit == _UNITS[-1]:
            break
        value /= 1024
    digits = 1 if value < 99.95 else 0
    return f"{value:.{digits}f}".removesuffix(".0") + f" {unit}"


def rounded(seconds: float) -> float:
    """To what an estimate may claim: 5 s under a minute, half minutes under ten, minutes above."""
    for below, step in ((_MINUTE, 5), (10 * _MINUTE, 30)):
        if seconds < below:
            return max(step, round(seconds / step) * step)
    return round(seconds / _MINUTE) * _MINUTE


def duration(seconds: float) -> str:
    """`under 1 s`, `45 s`, `2 min 5 s`, `1 h 4 min`, `2 d 3 h`."""
    if seconds < 1:
        return "under 1 s"
    whole = int(seconds)
    for large, large_word, small, small_word in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large} {large_word}" + (f" {rest} {small_word}" if rest else "")
    return f"{whole} s"
