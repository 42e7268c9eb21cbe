"""Names: injective, safe as paths, within Swift's and file systems' limits."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portal.domain.errors import InvalidInput
from portal.domain.names import (
    CONTAINER,
    NAME_BYTES,
    check_name,
    file_stem,
    folder_of,
    image_file,
    manifest_piece,
    part_name,
    time_folder,
)

SWIFT_NAME_BYTES = 1024
FILE_NAME_BYTES = 255

anything = st.text(max_size=300)
hostile = st.text(alphabet="/\\.%2EFf \u200b\u202eaé\N{SNOWMAN}'\"<>|*?:", max_size=40)
likely = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=60
)
"""What is a server's name as a rule: few examples are thrown away."""


def _kept(name: str) -> str:
    """A name as a server bears it; other examples are thrown away."""
    try:
        return check_name(name, what="server")
    except InvalidInput:
        assume(False)
        raise AssertionError("unreachable") from None


@given(likely | hostile, likely | hostile)
def test_two_names_never_share_a_folder(one: str, other: str) -> None:
    one, other = _kept(one), _kept(other)
    assert (folder_of(one) == folder_of(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/b", "a%2Fb"),
        (".part", "%2Epart"),
        ("..", "%2E."),
        ("a\\b", "a%5Cb"),
        ("x", "x\u200b"),
    ],
)
def test_names_that_imitate_an_encoding_have_folders_of_their_own(one: str, other: str) -> None:
    assert folder_of(one) != folder_of(other)


@given(anything | hostile)
def test_a_folder_is_one_plain_path_element(name: str) -> None:
    folder = folder_of(_kept(name))
    assert folder
    assert "/" not in folder
    assert not folder.startswith(".")
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in folder)


@given(anything | hostile)
def test_what_is_kept_is_kept_unchanged_when_checked_again(name: str) -> None:
    kept = _kept(name)
    assert check_name(kept, what="server") == kept
    assert len(kept.encode()) <= NAME_BYTES


@given(anything | hostile, st.integers(1, 99), st.integers(1, 99))
def test_a_file_fits_every_file_system(name: str, disk: int, disks: int) -> None:
    file = image_file(_kept(name), ".raw.gz", disk=disk, disks=disks)
    assert file.endswith(".raw.gz")
    assert len(file.encode()) <= FILE_NAME_BYTES
    assert not set('/\\:*?"<>|\0') & set(file)
    assert not file.startswith((".", " "))


@given(st.text(alphabet="/\u200b\N{GRINNING FACE}é", min_size=1, max_size=255))
def test_the_longest_names_fit_into_swift(name: str) -> None:
    kept = _kept(name)
    folder = folder_of(kept)
    snapshot = f"{folder}/{time_folder(datetime.now(UTC))}"
    file = image_file(kept, ".raw.gz", disk=99, disks=99)
    for object_name in (
        part_name(folder, "f" * 64),
        f"{snapshot}/{file}",
        manifest_piece(snapshot, file, 3, 999_999),
    ):
        assert len(object_name.encode()) <= SWIFT_NAME_BYTES


def test_the_worst_name_of_all_fits_into_swift() -> None:
    worst = "/" * NAME_BYTES
    folder = folder_of(check_name(worst, what="server"))
    assert len(folder) == 3 * NAME_BYTES
    piece = manifest_piece(
        f"{folder}/2026-11-22T201746Z",
        image_file("ü" * 127, ".raw.gz", disk=99, disks=99),
        3,
        999_999,
    )
    assert len(piece.encode()) <= SWIFT_NAME_BYTES


@pytest.mark.parametrize(
    "name", ["", "   ", "a\nb", "a\0b", "\x1b[31mred", "\ud800", "a\u2028b", "x" * 256, "é" * 128]
)
def test_names_that_nobody_could_see_or_type_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_name(name, what="server")
    assert refused.value.field == "name"
    assert "server" in refused.value.message


@pytest.mark.parametrize(
    "name",
    ["web 1", "a/b", "it's", 'say "hi"', "почта", "サーバー", "x" * 255, "é" * 127, "..", "<b>"],
)
def test_names_of_every_script_and_mark_are_welcome(name: str) -> None:
    assert check_name(f"  {name} ", what="server") == name


def test_two_spellings_of_a_name_are_one() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert check_name(composed, what="server") == check_name(decomposed, what="server")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("web-1", "web-1"),
        ("a/b\\c", "a_b_c"),
        ("...", "server"),
        ("  ", "server"),
        (".hidden", "hidden"),
        ('w"x?', "w_x_"),
    ],
)
def test_a_stem_is_close_to_the_name(name: str, stem: str) -> None:
    assert file_stem(name) == stem


def test_a_long_stem_is_cut_between_characters() -> None:
    stem = file_stem("é" * 200)
    assert stem == "é" * 90


def test_the_names_of_the_layout() -> None:
    at = datetime(2026, 11, 22, 20, 17, 46, 999_999, tzinfo=UTC)
    assert CONTAINER == "miniserver-snapshots"
    assert time_folder(at) == "2026-11-22T201746Z"
    assert part_name("web-1", "ab" * 32) == "web-1/.part/ab/" + "ab" * 32
    assert image_file("web-1", ".raw.gz", disk=1, disks=1) == "web-1.raw.gz"
    assert image_file("web-1", ".raw.gz", disk=2, disks=2) == "web-1-disk2.raw.gz"
    piece = manifest_piece("web-1/2026-11-22T201746Z", "web-1.raw.gz", 1, 7)
    assert piece == "web-1/2026-11-22T201746Z/.manifest/web-1.raw.gz/1-000007"
