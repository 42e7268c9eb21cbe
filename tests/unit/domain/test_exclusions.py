"""What may be left out of a tar snapshot."""

from __future__ import annotations

import pytest

from portal.domain import exclusions
from portal.domain.errors import InvalidInput


def test_what_is_suggested_is_allowed() -> None:
    assert exclusions.check(exclusions.SUGGESTED) == exclusions.SUGGESTED


def test_empty_lines_and_repetitions_go() -> None:
    lines = ["/tmp ", "", "  ", "/tmp", "/srv/a b"]
    assert exclusions.check(lines) == ("/tmp", "/srv/a b")


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("tmp", "does not begin with a slash"),
        ("/a\nb", "cannot be shown"),
        ("/a\0", "cannot be shown"),
        ("/a/../b", "holds “..”"),
        ("/", "Everything"),
        ("/*", "Everything"),
        ("//", "Everything"),
        ("/" + "x" * exclusions.LONGEST, "longer than"),
    ],
)
def test_what_makes_no_sense_is_refused(pattern: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as refused:
        exclusions.check([pattern])
    assert refused.value.field == "exclude"


def test_not_too_many() -> None:
    with pytest.raises(InvalidInput, match="more than 100"):
        exclusions.check(f"/{number}" for number in range(exclusions.MOST + 1))
