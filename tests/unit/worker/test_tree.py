"""Putting a server's file systems together: what is mounted, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from worker.filesystems import fstab
from worker.filesystems.tree import Refused, Tree

if TYPE_CHECKING:
    from collections.abc import Callable


class Recorded:
    """A view of volumes by their UUIDs: the /etc/fstab of each, and of a btrfs its subvolumes'."""

    pieces = True

    def __init__(self, fstabs: dict[str, str | None]) -> None:
        self.fstabs = fstabs
        self.replayed: list[str] = []
        self.calls: list[str] = []
        self.root = ""

    def mount(self, volume: dict[str, Any], path: str, *, subvolume: str = "") -> None:
        if path == "/":
            assert not self.root, "one file system over another"
            self.root = volume["uuid"] + subvolume.removeprefix("subvol=")
        self.calls.append(f"{volume['uuid']} {path} {subvolume}".rstrip())

    def unmount_root(self) -> None:
        assert self.root, "nothing to unmount"
        self.root = ""
        self.calls.append("unmount")

    def fstab(self) -> str | None:
        return self.fstabs.get(self.root)

    def subvolumes(self) -> list[str]:
        found = (name.removeprefix(self.root) for name in self.fstabs)
        return sorted(name for name in found if name.startswith("@"))

    def is_plain_folder(self, path: str) -> bool:
        return True

    def used(self, path: str) -> int:
        return 1

    def details(self, volume: dict[str, Any], path: str) -> dict[str, str]:
        return {}

    def boot_loader(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def volume() -> Callable[..., dict[str, Any]]:
    def make(uuid: str, kind: str = "ext4") -> dict[str, Any]:
        names = [fstab.normal(f"UUID={uuid}")]
        rest: dict[str, Any] = {"disk": 1, "start": 0, "length": 1, "label": "", "in_pieces": False}
        return {**rest, "uuid": uuid, "type": kind, "names": names}

    return make


def test_a_root_that_was_found_is_mounted_once(volume) -> None:
    view = Recorded({"r": "UUID=r / ext4 defaults 0 1"})
    told = Tree(view, [volume("r")]).mount()
    assert view.calls == ["r /"]
    assert [entry["mount"] for entry in told["mounts"]] == ["/"]


def test_what_was_looked_at_behind_the_root_makes_room(volume) -> None:
    view = Recorded({"r": "UUID=r / ext4 defaults 0 1\nUUID=b /boot ext4 defaults 0 2"})
    Tree(view, [volume("r"), volume("b")]).mount()
    assert view.calls == ["r /", "unmount", "b /", "unmount", "r /", "b /boot"]


def test_a_root_that_is_looked_at_last_stays(volume) -> None:
    view = Recorded({"r": "UUID=r / ext4 defaults 0 1\nUUID=b /boot ext4 defaults 0 2"})
    Tree(view, [volume("b"), volume("r")]).mount()
    assert view.calls == ["b /", "unmount", "r /", "b /boot"]


def test_a_subvolume_is_found_and_mounted_as_its_fstab_says(volume) -> None:
    view = Recorded({"v@": "UUID=v / btrfs subvol=/@ 0 0"})
    told = Tree(view, [volume("v", "btrfs")]).mount()
    assert view.calls[:3] == ["v /", "unmount", "v / subvol=@"]
    assert told["mounts"][0]["subvolume"] in {"subvol=@", "subvol=/@"}
    assert view.root.removeprefix("v").strip("/") == "@"


def test_no_root_is_refused(volume) -> None:
    with pytest.raises(Refused, match="No Linux system"):
        Tree(Recorded({}), [volume("r"), volume("b")]).mount()
