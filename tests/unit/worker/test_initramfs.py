"""The list of an initramfs, of archives made here byte by byte; and of what is none."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.filesystems import initramfs
from worker.filesystems.initramfs import NotKnown, module_of, modules_in

if TYPE_CHECKING:
    from pathlib import Path

END = b"TRAILER!!!"


def entry(name: bytes, content: bytes = b"", *, size: int | None = None, **odd: bytes) -> bytes:
    """A file as newc has it; `size` where the header is to lie."""
    numbers = [1, 0o100644, 0, 0, 1, 0, len(content) if size is None else size]
    numbers += [0, 0, 0, 0, len(name) + 1, 0]
    head = odd.get("magic", b"070701") + b"".join(b"%08X" % number for number in numbers)
    return padded(padded(head + name + b"\0") + content)


def padded(data: bytes, to: int = 4) -> bytes:
    return data + bytes(-len(data) % to)


def archive(*names: bytes, block: int = 512) -> bytes:
    return padded(b"".join(entry(name, b"x" * 5) for name in (*names, END)), block)


def listed(data: bytes, folder: Path) -> list[str]:
    path = folder / "initrd"
    path.write_bytes(data)
    with path.open("rb") as file:
        return list(modules_in(file))


@pytest.mark.parametrize(
    ("path", "module"),
    [
        (b"usr/lib/modules/6.1.0-18-amd64/kernel/drivers/ata/ata_piix.ko", "ata_piix"),
        (b"lib/modules/3.10.0-1160.el7.x86_64/kernel/drivers/ata/ata_piix.ko.xz", "ata_piix"),
        (b"kernel/drivers/block/xen-blkfront.ko", "xen_blkfront"),
        (b"kernel/drivers/block/xen-blkfront.ko.zst", "xen_blkfront"),
        (b"kernel/drivers/ide/ide-gd_mod.ko.gz", "ide_gd_mod"),
        (b"lib/ide-disk.ko", "ide_disk"),
        (b"/kernel/drivers/scsi/hv_storvsc.ko.xz", "hv_storvsc"),
        (b"kernel/drivers/message/fusion/mptspi.ko", "mptspi"),
        (b"kernel/drivers/scsi/sd_mod.ko.zst", "sd_mod"),
        (b"kernel/drivers/nvme/host/nvme.ko", "nvme"),
        (b"kernel/drivers/nvme/host/nvme-core.ko", "nvme_core"),
        (b"kernel/drivers/scsi/sd_mod.ko.sig", None),
        (b"kernel/drivers/scsi/sd_mod", None),
        (b"kernel/drivers/scsi/sd_mod.ko/", None),
        (b"kernel/drivers/scsi/sd_mod.ko\n", None),
        (b"sd\xff_mod.ko", None),
        (b".ko", None),
        (b"", None),
    ],
)
def test_names_of_modules(path: bytes, module: str | None) -> None:
    assert module_of(path) == module


def test_archives_behind_each_other(tmp_path: Path) -> None:
    early = archive(b"kernel/x86/microcode/GenuineIntel.bin") + bytes(4096)
    plain = archive(b".", b"lib/a.ko", b"lib/b-c.ko.zst", block=4)
    packed = gzip.compress(archive(b"lib/d.ko") + archive(b"lib/e.ko"))
    assert listed(early + plain + packed, tmp_path) == ["a", "b_c", "d", "e"]
    assert listed(early + plain, tmp_path) == ["a", "b_c"]
    assert listed(gzip.compress(archive(b"lib/d.ko")), tmp_path) == ["d"]
    assert listed(entry(b"a.ko") + entry(b"b.ko", magic=b"070702") + entry(END), tmp_path) == [
        "a",
        "b",
    ]


def test_a_name_ends_at_its_first_nul_as_in_the_kernel(tmp_path: Path) -> None:
    assert listed(entry(b"a.ko\0.txt") + entry(b"b.txt\0.ko") + entry(END), tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (bytes(5000), "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"\x7fELF" + bytes(1000), "packed in a way"),
        (b"\x89LZO\0\r\n", "packed in a way"),
        (b"\x00x", "too early"),
        (entry(b"a.ko") + entry(b"b.ko"), "too early"),
        (entry(b"a.ko") + b"junk behind it", "damaged"),
        (entry(b"a.ko")[:109], "too early"),
        (entry(b"a.ko", b"content", size=0xFFFFFFFF), "too early"),
        (b"070701" + b"+0000001" * 13, "damaged"),
        (b"070701" + b"0x000001" * 13, "damaged"),
        (b"070701" + b"0000_001" * 13, "damaged"),
        (b"070701" + b"0000000 " * 13, "damaged"),
        (b"070701" + b"00000000" * 13, "damaged"),
        (entry(b"x" * 4096), "damaged"),
        (b"070707" + b"0" * 200, "packed in a way"),
        (archive(b"a.ko") + gzip.compress(archive(b"b.ko"), mtime=0)[:-9], "gzip ended with"),
        (gzip.compress(archive(b"b.ko"), mtime=0) + b"behind", "gzip ended with"),
        (gzip.compress(entry(b"b.ko"), mtime=0), "too early"),
        (gzip.compress(b"no archive", mtime=0), "no archive"),
        (gzip.compress(gzip.compress(archive(b"b.ko"), mtime=0), mtime=0), "no archive"),
        (archive(b"lib/sd_mod.ko", b"squashfs-root.img"), "in an image"),
    ],
)
def test_what_is_not_whole_is_not_known(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(NotKnown, match=why):
        listed(data, tmp_path)


def test_endless_names_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initramfs, "ENTRIES_MOST", 1000)
    assert len(listed(archive(*[b"a.ko"] * 999), tmp_path)) == 999
    with pytest.raises(NotKnown, match="too many"):
        listed(archive(*[b"a.ko"] * 1000), tmp_path)


def test_a_bomb_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initramfs, "CONTENT_MOST", 1024 * 1024)
    bomb = gzip.compress(entry(b"zeros", bytes(2 * 1024 * 1024)) + entry(END))
    with pytest.raises(NotKnown, match="too large"):
        listed(bomb, tmp_path)
    with pytest.raises(NotKnown, match="too large"):
        listed(gzip.compress(bytes(2 * 1024 * 1024)), tmp_path)


NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name and name != END)


@given(
    archives=st.lists(
        st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=5), min_size=1, max_size=4
    ),
    zeros=st.integers(0, 600),
    plain=st.integers(0, 4),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_entry_is_found_wherever_it_stands(
    archives: list[list[tuple[bytes, bytes]]], zeros: int, plain: int, tmp_path: Path
) -> None:
    """Some archives plain, the others compressed behind them."""
    wanted = [
        module
        for one in archives
        for name, _ in one
        if (module := module_of(name.partition(b"\0")[0] + b".ko")) is not None
    ]
    made = [
        b"".join([*(entry(name + b".ko", content) for name, content in one), entry(END)])
        + bytes(zeros * 4)
        for one in archives
    ]
    data = b"".join(made[:plain])
    if made[plain:]:
        data += gzip.compress(b"".join(made[plain:]), 1)
    assert listed(data, tmp_path) == wanted


@given(data=st.binary(max_size=400), at=st.integers(0, 500), cut=st.integers(0, 800))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_a_list_or_not_known(data: bytes, at: int, cut: int, tmp_path: Path) -> None:
    """Bytes at random, and a good archive with bytes at random written over it, and cut off."""
    good = entry(b"lib/a.ko", b"abc") + entry(b"lib/b.ko", b"x" * 99) + entry(END)
    for one in (data, (good[:at] + data + good[at + len(data) :])[:cut]):
        file = io.BufferedReader(io.BytesIO(one))
        archives = initramfs._Archives(file)
        try:
            list(archives.names())
        except NotKnown:
            continue
        assert archives.rest is None or not archives.rest.startswith((b"070701", b"070702"))
        assert archives.rest is not None or archives.position == len(one)
