"""Files are asked for in tar's order, and not far ahead of it."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING, cast

import pytest

from worker.filesystems import ahead, notes
from worker.filesystems.ahead import Ahead
from worker.filesystems.child import _MEMBERS, _TAR

if TYPE_CHECKING:
    from pathlib import Path

ODD = [b"new\nline", b"back\\slash", b"\\n", b"\\101", b"tab\t", b"\xff\xfe", b"\x01", b"a\\", b" "]


class Recorded(Ahead):
    """Notes what is asked for."""

    def __init__(self, members: list[bytes]) -> None:
        super().__init__(members)
        self.brought: list[bytes] = []

    def bring(self, path: bytes, opened: int) -> None:
        self.brought.append(path)
        super().bring(path, opened)


def index_of(root: Path, members: list[bytes]) -> list[bytes]:
    """The lines of the real tar's index."""
    index, write = os.pipe()
    with os.fdopen(index, "rb") as lines:
        tar = subprocess.Popen(
            [*_TAR, "--verbose", f"--index-file=/dev/fd/{write}", "--quoting-style=escape",
             *_MEMBERS],
            cwd=root, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[write],
        )  # fmt: skip
        os.close(write)
        tar.communicate(b"\0".join(members))
        told = lines.read()
    assert tar.returncode == 0
    return told.splitlines()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree whose order is not that of its paths as text, with a member below another."""
    root = tmp_path / "root"
    for name in ("a/z", "a/b/c", "a.b", "a-b", "boot/efi/x", "boot/k", "A", "z/1"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for name in ODD:
        folder = root / os.fsdecode(b"odd " + name)
        folder.mkdir()
        (folder / os.fsdecode(name)).write_text("1")
    return root


def test_the_walk_goes_the_way_of_tar(root: Path) -> None:
    recorded = Recorded([b"."])
    notes.walk(os.fsencode(root), [b""], recorded)
    told = [ahead._plain(line) for line in index_of(root, [b"."])]
    assert [b"." + path for path in recorded.brought] == [
        path for path in told if not path.endswith(b"/")
    ]


def test_a_folder_of_very_many_is_read_piece_by_piece(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all in tar's order then, but each once."""
    whole, pieces = Recorded([b"."]), Recorded([b"."])
    notes.walk(os.fsencode(root), [b""], whole)
    monkeypatch.setattr(notes, "MOST", 2)
    notes.walk(os.fsencode(root), [b""], pieces)
    assert sorted(pieces.brought) == sorted(whole.brought)


def test_a_member_below_another_comes_where_it_is_listed(root: Path) -> None:
    members = [b".", b"./boot/efi", b"./boot"]
    recorded = Recorded(members)
    notes.walk(os.fsencode(root), [member[1:] for member in members], recorded)
    assert len(recorded.brought) == len(set(recorded.brought))
    assert recorded.brought[-2:] == [b"/boot/efi/x", b"/boot/k"]
    places = [recorded._place(path) for path in recorded.brought]
    assert places == sorted(places)


def test_it_waits_for_tar_and_goes_on_when_tar_has_ended(tmp_path: Path) -> None:
    count = 2 * ahead._MOST_AHEAD // ahead._OF_A_FILE
    for number in range(count):
        (tmp_path / f"{number:03}").write_bytes(os.urandom(2 * ahead._OF_A_FILE))
    recorded = Recorded([b"."])
    index, write = os.pipe()
    following = threading.Thread(target=recorded.follow, args=[index])
    following.start()
    walking = threading.Thread(
        target=notes.walk, args=[os.fsencode(tmp_path), [b""], cast("Ahead", recorded)]
    )
    walking.start()

    def stands_at(most: int) -> None:
        """It comes this far, where one waits, and no further."""
        walking.join(0.3)
        assert len(recorded.brought) == most
        assert walking.is_alive()

    budget = ahead._MOST_AHEAD // ahead._OF_A_FILE
    stands_at(budget + 1)
    os.write(write, b"./\n./000\n./001\n./0")
    stands_at(budget + 3)
    os.close(write)
    walking.join(10)
    following.join(10)
    assert not walking.is_alive()
    assert len(recorded.brought) == count
