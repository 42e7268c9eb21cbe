"""OVA files: an archive that importers take, with a description in the order of its schema."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import snapcore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.domain import ovf
from portal.domain.guest_types import guest_type
from tests.interop import test_vmdk
from tests.interop.images import DISKS, GIB, MIB, make_disk, run, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BLOCK = 512
GRAIN = 64 * 1024


def describe(
    disks: Sequence[Path], *, system: str = "Debian 12", bus: str = "lsilogic", uefi: bool = False
) -> bytes:
    sizes = [-(-disk.stat().st_size // GRAIN) * GRAIN for disk in disks]
    return ovf.write_ovf(
        ovf.Machine(
            name="web-1",
            guest=guest_type(system),
            bus=ovf.Bus(bus),
            uefi=uefi,
            disks=[(f"web-1-disk{number}.vmdk", size) for number, size in enumerate(sizes, 1)],
        )
    )


def make(disks: Sequence[Path], archive: Path, description: bytes | None = None) -> None:
    opened = [snapcore.Disk(disk) for disk in disks]
    try:
        plans = [disk.plan(skip_unused=False) for disk in opened]
        with snapcore.ova(
            [(plan, 0x1000 + number) for number, plan in enumerate(plans)],
            name="web-1",
            ovf=description if description is not None else describe(disks),
            modified=1_790_000_000,
        ) as stream:
            summary = write(stream, archive)
        assert (summary.md5, summary.sha256) == (None, None)
    finally:
        for disk in opened:
            disk.close()


@dataclass
class Member:
    name: str
    at: int
    size: int


def read(archive: Path) -> list[Member]:
    """Walk the archive by the rules of GNU tar: no extended headers, nothing left over."""
    members = []
    with archive.open("rb") as file:
        while any(header := file.read(BLOCK)):
            assert header[257:265] == b"ustar  \0"
            assert header[156:157] == b"0"  # a plain file: no long names, no pax
            assert int(header[148:154], 8) == sum(header[:148]) + 8 * 0x20 + sum(header[156:])
            field = header[124:136]
            size = int.from_bytes(field[1:]) if field[0] == 0x80 else int(field[:11], 8)
            at = file.tell()
            members.append(Member(header[:100].rstrip(b"\0").decode(), at, size))
            file.seek(at + size)
            assert not any(file.read(-size % BLOCK))
        assert not any(file.read(BLOCK))
        assert file.read() == b""
    with tarfile.open(archive) as opened:
        assert [(one.name, one.size) for one in opened] == [(one.name, one.size) for one in members]
        assert {(one.mode, one.mtime) for one in opened} == {(0o644, 1_790_000_000)}
    return members


def unpack(archive: Path, folder: Path) -> list[str]:
    """By GNU tar; every sum of the manifest is right, in the form that importers read."""
    names = [member.name for member in read(archive)]
    folder.mkdir()
    run("tar", "--extract", "--file", archive, "--directory", folder)
    assert names[0] == "web-1.ovf"
    assert names[-1] == "web-1.mf"
    lines = (folder / "web-1.mf").read_text().splitlines()
    told = dict(
        (found := re.fullmatch(r"SHA256\(([^)]+)\)= ([0-9a-f]{64})", line)) and found.groups()
        for line in lines
    )
    assert list(told) == names[:-1]
    for name, sum_ in told.items():
        with (folder / name).open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == sum_
    return names[1:-1]


def check(disks: Sequence[Path], archive: Path, folder: Path) -> None:
    names = unpack(archive, folder)
    assert names == [f"web-1-disk{number}.vmdk" for number in range(1, len(disks) + 1)]
    for name, disk in zip(names, disks, strict=True):
        found = test_vmdk.read(folder / name)
        assert f'SPARSE "{name}"' in found.descriptor
        assert found.capacity == -(-disk.stat().st_size // GRAIN) * GRAIN
        with disk.open("ab") as file:
            file.truncate(-(-disk.stat().st_size // 512) * 512)
        test_vmdk.check(disk, folder / name)


@pytest.mark.parametrize("name", DISKS)
def test_one_disk(tmp_path: Path, name: str) -> None:
    disk = make_disk(tmp_path / "disk.raw", *DISKS[name])
    archive = tmp_path / "web-1.ova"
    make([disk], archive)
    check([disk], archive, tmp_path / "unpacked")


def test_several_disks(tmp_path: Path) -> None:
    names = ["odd size", "holes", "empty", "a sector", "large"]
    disks = [
        make_disk(tmp_path / f"{number}.raw", *DISKS[name], seed=number)
        for number, name in enumerate(names)
    ]
    archive = tmp_path / "web-1.ova"
    make(disks, archive)
    check(disks, archive, tmp_path / "unpacked")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shapes=st.lists(
        st.tuples(
            st.integers(1, 40 * MIB),
            st.lists(st.tuples(st.integers(0, 40 * MIB), st.integers(1, 3 * MIB)), max_size=4),
        ),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 1000),
)
def test_any_disks(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: list[tuple[int, list[tuple[int, int]]]],
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("ova")
    disks = []
    for number, (size, runs) in enumerate(shapes):
        data = [(at % size, min(length, size - at % size)) for at, length in runs]
        disks.append(make_disk(folder / f"{number}.raw", size, data, seed=seed + number))
    archive = folder / "web-1.ova"
    make(disks, archive)
    check(disks, archive, folder / "unpacked")


def source(archive: Path) -> str:
    """What virt-v2v makes of the archive: it checks the manifest, and reads the description."""
    return run("virt-v2v", "-i", "ova", archive, "--print-source")


@pytest.mark.parametrize(
    ("bus", "uefi", "told"),
    [("lsilogic", False, "scsi"), ("ide", False, "ide"), ("sata", True, "sata")],
)
def test_virt_v2v_takes_it(tmp_path: Path, bus: str, uefi: bool, told: str) -> None:
    disks = [make_disk(tmp_path / f"{n}.raw", 3 * MIB, [(0, MIB)], seed=n) for n in range(3)]
    archive = tmp_path / "web-1.ova"
    make(disks, archive, describe(disks, bus=bus, uefi=uefi))
    said = source(archive)
    assert "source name: web-1" in said
    assert re.findall(r"\d \[(\w+)\]", said) == [told] * 3
    assert f"firmware: {'uefi' if uefi else 'bios'}" in said
    assert "memory: 2147483648 (bytes)" in said
    assert "nr vCPUs: 2" in said
    assert "[e1000]" in said


@pytest.mark.parametrize("name", ["web-1.ovf", "web-1-disk1.vmdk", "web-1.mf"])
def test_virt_v2v_sees_each_fault(tmp_path: Path, name: str) -> None:
    disk = make_disk(tmp_path / "disk.raw", 3 * MIB, [(0, MIB)])
    archive = tmp_path / "web-1.ova"
    make([disk], archive)
    [member] = [one for one in read(archive) if one.name == name]
    content = bytearray(archive.read_bytes())
    content[member.at + member.size - 10] ^= 1
    archive.write_bytes(content)
    done = subprocess.run(
        ["virt-v2v", "-i", "ova", archive, "--print-source"], capture_output=True, check=False
    )
    assert done.returncode != 0


def test_the_description_is_the_one_given(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.raw", MIB, [])
    archive = tmp_path / "web-1.ova"
    description = describe([disk], system="Windows Server 2016", bus="ide")
    make([disk], archive, description)
    unpack(archive, tmp_path / "unpacked")
    assert (tmp_path / "unpacked/web-1.ovf").read_bytes() == description
    assert ET.fromstring(description).tag == f"{{{ovf.OVF}}}Envelope"


def test_a_sparse_terabyte_beside_a_small_disk(tmp_path: Path) -> None:
    disks = [
        make_disk(tmp_path / "1.raw", 1024 * GIB, [(at * 64 * GIB, MIB) for at in range(16)]),
        make_disk(tmp_path / "2.raw", 5 * MIB, [(0, 5 * MIB)]),
    ]
    archive = tmp_path / "web-1.ova"
    make(disks, archive)
    check(disks, archive, tmp_path / "unpacked")


@pytest.mark.parametrize("name", ["", "a/b", "x" * 81])
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    disk = make_disk(tmp_path / "disk.raw", MIB, [])
    with snapcore.Disk(disk) as opened, pytest.raises(snapcore.UsageError):
        snapcore.ova([(opened.plan(), 1)], name=name, ovf=b"", modified=0)


def test_no_disks() -> None:
    with pytest.raises(snapcore.UsageError):
        snapcore.ova([], name="web-1", ovf=b"", modified=0)
