"""The boot test itself: it tells what boots from what does not, and touches no disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop import boot

if TYPE_CHECKING:
    from pathlib import Path


def test_the_probe_finds_emulation() -> None:
    assert boot._runs_on("tcg")


def test_an_empty_disk_does_not_boot(tmp_path: Path) -> None:
    disk = tmp_path / "empty, not bootable.raw"
    disk.write_bytes(b"\0" * 1024**2)
    with pytest.raises(boot.DidNotBoot):
        boot.boot_to_login(disk, seconds=5)
    assert not any(disk.read_bytes())


def test_the_debian_disk_asks_somebody_to_log_in(debian_disk: Path) -> None:
    before = debian_disk.stat()
    console = boot.boot_to_login(debian_disk)
    after = debian_disk.stat()
    assert console.endswith("snapport-debian login: ")
    assert (after.st_mtime_ns, after.st_blocks) == (before.st_mtime_ns, before.st_blocks)
