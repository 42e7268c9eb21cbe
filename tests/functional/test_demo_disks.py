"""The demonstration's disks are what they say: other people's tools find real file systems."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from portal.domain.errors import SnapportError
from portal.embedded import demo_disks

if TYPE_CHECKING:
    from pathlib import Path

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _run(*argv: str) -> str:
    program = shutil.which(argv[0], path=PATH)
    assert program, f"{argv[0]} is not installed: run `setup/packages test`"
    done = subprocess.run([program, *argv[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.fixture(scope="module", params=[demo_disks.WEB, demo_disks.OFFICE], ids=lambda i: i.name)
def disk(
    request: pytest.FixtureRequest, session_folder: Path
) -> tuple[demo_disks.DiskImage, Path, Path]:
    """The image, the disk, and its partition alone."""
    image = request.param
    folder = session_folder / "demonstration"
    path = demo_disks.make(image, folder)
    partition = folder / f"{image.name}.partition"
    _run(
        "dd",
        f"if={path}",
        f"of={partition}",
        "bs=1M",
        "skip=1",
        "conv=sparse",
        "status=none",
    )
    return image, path, partition


def test_disk_is_sparse_and_partitioned(
    disk: tuple[demo_disks.DiskImage, Path, Path],
) -> None:
    image, path, _ = disk
    assert path.stat().st_size == image.size
    assert 20 * 1024**2 < path.stat().st_blocks * 512 < image.size / 2
    table = _run("sfdisk", "--json", str(path))
    assert '"label": "dos"' in table
    assert f'"type": "{image.partition_type:x}"' in table
    assert '"start": 2048' in table
    assert f'"size": {image.size // 512 - 2048}' in table


def test_file_system_is_clean_and_filled(
    disk: tuple[demo_disks.DiskImage, Path, Path], tmp_path: Path
) -> None:
    image, _, partition = disk
    if image is demo_disks.WEB:
        _run("e2fsck", "-fn", str(partition))
        _run("debugfs", "-R", f"dump /etc/hostname {tmp_path / 'hostname'}", str(partition))
        assert (tmp_path / "hostname").read_text() == "web-1\n"
    else:
        _run("ntfsfix", "-n", str(partition))
        names = _run("ntfsls", "-f", str(partition)).splitlines()
        assert {"Readme.txt", "Annual report 2025.docx", "Umsätze 2025.csv"} <= set(names)


def test_a_disk_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / demo_disks.WEB.name).write_bytes(b"mine")
    assert demo_disks.make(demo_disks.WEB, tmp_path).read_bytes() == b"mine"


def test_a_failure_leaves_no_disk_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "mkntfs").write_text("#!/bin/sh\necho 'no room' >&2\nexit 1\n")
    (fake / "mkntfs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    with pytest.raises(SnapportError, match="mkntfs failed: no room"):
        demo_disks.make(demo_disks.OFFICE, tmp_path / "disks")
    assert list((tmp_path / "disks").iterdir()) == []
