"""ntfsclone snapshots: what ntfsclone itself makes of them."""

from __future__ import annotations

import gzip
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from portal.domain.lifecycle import SnapshotState
from tests.functional.worker.house import MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portal.records import Snapshot
    from tests.functional.worker.house import House

SIZE = 160 * MIB
MBR = "label: dos\n2048,65536,7,*\n67584,8192,c\n75776,,f\n77824,131072,7\n"
GPT = (
    "label: gpt\n"
    "start=2048,size=16384,type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n"
    "start=18432,size=131072,type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n"
)
NTFS_OF = {MBR: [(1, 2048, 65536), (5, 77824, 131072)], GPT: [(2, 18432, 131072)]}
OTHER_OF = {MBR: (2, 67584, 8192), GPT: (1, 2048, 16384)}


def make_windows_disk(disk: Path, folder: Path, table: str) -> None:
    """Boot code before the table, NTFS volumes with files, and a partition of noise."""
    noise = random.Random(7)
    disk.write_bytes(b"\xa5" * SIZE)
    subprocess.run(["sfdisk", "--quiet", disk], input=table.encode(), check=True)
    for number, start, sectors in NTFS_OF[table]:
        volume = folder / f"volume{number}"
        with volume.open("wb") as file:
            file.truncate(sectors * 512)
        subprocess.run(["mkntfs", "-q", "-F", "-Q", "-p", str(start), volume], check=True)
        content = folder / "content"
        content.write_bytes(noise.randbytes(3 * MIB))
        subprocess.run(["ntfscp", "-q", "-f", volume, content, "/content"], check=True)
        put(disk, start * 512, volume.read_bytes())
    _number, start, sectors = OTHER_OF[table]
    put(disk, start * 512, noise.randbytes(sectors * 512))
    put(disk, 0, noise.randbytes(440))


def put(disk: Path, at: int, content: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(content)


def saved(volume: Path) -> bytes:
    """What the real ntfsclone makes of it."""
    command = ["ntfsclone", "--save-image", "--output", "-", volume]
    return subprocess.run(command, check=True, capture_output=True).stdout


def restore(house: House, taken: Snapshot, table: str, folder: Path) -> bytes:
    """The disk as the README tells to put it back, with ntfsclone."""
    restored = bytearray(SIZE)
    index = house.index(taken)
    [xmbr] = index["machine"]["xmbr"]
    pieces, at = house.download(taken, "web-1.xmbr"), 0
    for start, length in xmbr["ranges"]:
        restored[start : start + length] = pieces[at : at + length]
        at += length
    assert at == len(pieces)
    number, start, sectors = OTHER_OF[table]
    other = gzip.decompress(house.download(taken, f"web-1-p{number}.raw.gz"))
    restored[start * 512 : (start + sectors) * 512] = other
    for number, start, _sectors in NTFS_OF[table]:
        image, volume = folder / "image", folder / "restored"
        image.write_bytes(gzip.decompress(house.download(taken, f"web-1-p{number}.img.gz")))
        assert image.read_bytes() == saved(folder / f"volume{number}")
        volume.unlink(missing_ok=True)
        command = ["ntfsclone", "--restore-image", "--overwrite", volume, image]
        subprocess.run(command, check=True, capture_output=True)
        subprocess.run(["ntfsfix", "-n", volume], check=True, capture_output=True)
        # The same used clusters, and the same boot sector at the end.
        assert saved(volume) == image.read_bytes()
        content = volume.read_bytes()
        restored[start * 512 : start * 512 + len(content)] = content
    return bytes(restored)


@pytest.mark.parametrize("table", [MBR, GPT], ids=["mbr", "gpt"])
def test_ntfsclone_puts_the_disk_back(windows_house: House, tmp_path: Path, table: str) -> None:
    make_windows_disk(windows_house.disk, tmp_path, table)
    taken = windows_house.done("ntfsclone")
    restored = restore(windows_house, taken, table, tmp_path)
    disk = windows_house.disk.read_bytes()
    first = min(start for _number, start, _sectors in [*NTFS_OF[table], OTHER_OF[table]])
    assert restored[: first * 512] == disk[: first * 512]
    after = tmp_path / "after"
    after.write_bytes(restored)
    dump = ["sfdisk", "--dump"]
    assert _table(subprocess.check_output([*dump, after])) == _table(
        subprocess.check_output([*dump, windows_house.disk])
    )
    for _number, start, sectors in NTFS_OF[table]:
        volume = tmp_path / "volume"
        volume.write_bytes(restored[start * 512 : (start + sectors) * 512])
        got = subprocess.check_output(["ntfscat", "-f", volume, "/content"])
        original = tmp_path / "original"
        original.write_bytes(disk[start * 512 : (start + sectors) * 512])
        assert got == subprocess.check_output(["ntfscat", "-f", original, "/content"])
        # The second boot sector, outside of every bitmap.
        assert volume.read_bytes()[-512:] == original.read_bytes()[-512:]
    if table == GPT:
        assert restored[-33 * 512 :] == disk[-33 * 512 :]


def test_a_little_changed_volume_sends_little(windows_house: House, tmp_path: Path) -> None:
    make_windows_disk(windows_house.disk, tmp_path, GPT)
    first = windows_house.done("ntfsclone")
    _number, start, sectors = NTFS_OF[GPT][0]
    volume, more = tmp_path / "volume2", tmp_path / "more"
    more.write_bytes(b"a few new lines\n" * 1000)
    subprocess.run(["ntfscp", "-q", "-f", volume, more, "/more"], check=True)
    put(windows_house.disk, start * 512, volume.read_bytes()[: sectors * 512])
    second = windows_house.done("ntfsclone")
    assert second.size is not None
    assert first.sent > 3 * MIB
    assert second.sent < second.size // 2


def dirty(volume: Path) -> None:
    """As Windows leaves it when its power fails."""
    subprocess.run(["ntfsfix", volume], check=True, capture_output=True)


def hibernated(volume: Path) -> None:
    """Windows sleeps: its memory stands in a file, and it will go on where it was."""
    memory = volume.with_name("memory")
    memory.write_bytes(b"hibr" + bytes(8188))
    subprocess.run(["ntfscp", "-q", "-f", volume, memory, "/hiberfil.sys"], check=True)


def inconsistent(volume: Path) -> None:
    """The file table is not what its mirror is."""
    with volume.open("r+b") as file:
        boot = file.read(512)
        cluster = boot[13] * int.from_bytes(boot[11:13], "little")
        file.seek(int.from_bytes(boot[56:64], "little") * cluster)
        file.write(bytes(4096))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(dirty, "marked as dirty"), (hibernated, "hibernated"), (inconsistent, "its mirror")],
)
def test_a_volume_that_is_not_in_order_is_refused_and_raw_advised(
    windows_house: House, tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    make_windows_disk(windows_house.disk, tmp_path, GPT)
    _number, start, sectors = NTFS_OF[GPT][0]
    volume = tmp_path / "volume2"
    spoil(volume)
    put(windows_house.disk, start * 512, volume.read_bytes()[: sectors * 512])
    taken = windows_house.snapshot("ntfsclone")
    assert taken.state is SnapshotState.FAILED
    assert taken.error is not None
    assert taken.error.startswith("Partition 2 cannot be taken by ntfsclone.")
    assert reason in taken.error
    assert taken.error.endswith("Take a raw snapshot instead.")
    assert windows_house.objects() == set()
    # A raw one takes what is in no order, all of it.
    assert windows_house.whole(windows_house.done("raw"))


def test_a_server_without_ntfs_is_refused(windows_house: House) -> None:
    taken = windows_house.snapshot("ntfsclone")
    assert taken.state is SnapshotState.FAILED
    assert "take a raw snapshot instead" in (taken.error or "")


def _table(dump: bytes) -> list[str]:
    """Without the lines that name the file."""
    lines = dump.decode().splitlines()
    return [line.split(":", 1)[1] for line in lines if " start=" in line]
