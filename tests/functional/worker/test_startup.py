"""What a tree starts with, looked at in place: initramfs of real tools, and ones made to harm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portal.domain.drivers import NAMES
from tests.disks import kernels
from worker.filesystems import startup
from worker.filesystems.kernel import KernelView
from worker.filesystems.startup import NotKnown, look, newest_first

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BUILT_IN = ["drivers/nvme/host/nvme.ko", "drivers/block/xen-blkfront.ko"]
EARLY = ["drivers/scsi/sd_mod.ko", "drivers/ata/ata_piix.ko.xz", "drivers/scsi/hv_storvsc.ko.zst"]
LATER = ["drivers/message/fusion/mptspi.ko.gz", "drivers/block/virtio_blk.ko"]


@pytest.fixture
def view(tmp_path: Path) -> KernelView:
    """Of an empty tree, at `view.root`; nothing is mounted."""
    return KernelView(tmp_path)


def installed(view: KernelView, image: bytes | None, **options: Any) -> None:
    options = {"built_in": BUILT_IN, "on_disk": EARLY + LATER, **options}
    kernels.install(view.root, image=image, **options)


@pytest.mark.parametrize("packer", kernels.PACKERS)
def test_every_packer(view: KernelView, tmp_path: Path, packer: str) -> None:
    installed(view, kernels.initramfs(tmp_path, EARLY, packer=packer))
    found = look(view, NAMES)
    assert (found["kernel"], found["initramfs"]) == (
        "6.1.0-18-amd64",
        "initrd.img-6.1.0-18-amd64",
    )
    assert found["early"] == ["ata_piix", "hv_storvsc", "nvme", "sd_mod", "xen_blkfront"]
    assert found["later"] == ["mptspi", "virtio_blk"]
    assert {"ahci", "hv_vmbus", "virtio_pci"} <= set(found["absent"])
    assert sorted([*found["early"], *found["later"], *found["absent"]]) == sorted(NAMES)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("5.14.0-362.8.1.el9_3.x86_64", "initramfs-{}.img"),
        ("6.4.0-150600.23.25-default", "initrd-{}"),
        ("6.6.13-gentoo-x86_64", "initramfs-{}"),
    ],
)
def test_names_in_boot(view: KernelView, tmp_path: Path, version: str, name: str) -> None:
    image = kernels.initramfs(tmp_path, EARLY)
    installed(view, image, version=version, name=name)
    assert look(view, NAMES)["initramfs"] == name.format(version)


def test_arch_and_alpine_name_no_version(view: KernelView, tmp_path: Path) -> None:
    image = kernels.initramfs(tmp_path, EARLY)
    installed(view, None, version="6.7.0-arch3-1")
    (view.root / "boot/vmlinuz-6.7.0-arch3-1").rename(view.root / "boot/vmlinuz-linux")
    with pytest.raises(NotKnown, match="no kernel"):
        look(view, NAMES)
    (view.root / "usr/lib/modules/6.7.0-arch3-1/pkgbase").write_text("linux\n")
    (view.root / "boot/initramfs-linux.img").write_bytes(image)
    found = look(view, NAMES)
    assert (found["kernel"], found["initramfs"]) == ("6.7.0-arch3-1", "initramfs-linux.img")
    installed(view, None, version="6.12.1-0-virt")
    (view.root / "boot/vmlinuz-6.12.1-0-virt").rename(view.root / "boot/vmlinuz-virt")
    (view.root / "boot/initramfs-virt").write_bytes(image)
    assert look(view, NAMES)["initramfs"] == "initramfs-virt"


def test_the_newest_kernel_counts(view: KernelView, tmp_path: Path) -> None:
    installed(view, kernels.initramfs(tmp_path, []), version="6.1.0-9-amd64")
    installed(view, kernels.initramfs(tmp_path, EARLY), version="6.1.0-18-amd64")
    # Modules of a kernel that is in /boot no more.
    (view.root / "usr/lib/modules/6.10.0-1-amd64").mkdir()
    found = look(view, NAMES)
    assert (found["kernel"], "sd_mod" in found["early"]) == ("6.1.0-18-amd64", True)


def test_versions_are_compared_as_numbers() -> None:
    versions = ["6.1.0-9-amd64", "6.10.0", "6.9.12", "5.4.0-1", "6.1.0-18-amd64", "6.1.0-18"]
    assert newest_first([*versions, "..", ".hidden", "a/b", "new\nline", "x" * 65, ""]) == [
        *("6.10.0", "6.9.12", "6.1.0-18-amd64", "6.1.0-18", "6.1.0-9-amd64", "5.4.0-1"),
    ]


# -- made to harm, or damaged ------------------------------------------------------------------


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(startup._INITRAMFS_MOST + 1)


@pytest.mark.parametrize(
    "make", [link("/etc/passwd"), link("/dev/zero"), link("nowhere"), fifo, folder, huge]
)
def test_what_is_no_plain_file_is_not_opened(
    view: KernelView, make: Callable[[Path], None]
) -> None:
    installed(view, None)
    make(view.root / "boot/initrd.img-6.1.0-18-amd64")
    with pytest.raises(NotKnown, match="is no plain file, or too large"):
        look(view, NAMES)


@pytest.mark.parametrize("at", ["boot", "usr", "usr/lib", "usr/lib/modules"])
def test_folders_that_lead_elsewhere_are_not_followed(
    view: KernelView, tmp_path: Path, at: str
) -> None:
    """Not even to a good system beside."""
    installed(view, kernels.initramfs(tmp_path, EARLY))
    elsewhere = tmp_path / "elsewhere"
    (view.root / at).rename(elsewhere)
    (view.root / at).symlink_to(elsewhere)
    with pytest.raises(NotKnown, match="no kernel"):
        look(view, NAMES)


@pytest.mark.parametrize("missing", ["modules.builtin", "modules.dep"])
def test_without_the_kernels_lists_nothing_is_known(
    view: KernelView, tmp_path: Path, missing: str
) -> None:
    installed(view, kernels.initramfs(tmp_path, EARLY))
    (view.root / "usr/lib/modules" / kernels.VERSION / missing).unlink()
    with pytest.raises(NotKnown, match=missing):
        look(view, NAMES)


def test_a_kernel_without_an_initramfs_is_not_known(view: KernelView) -> None:
    installed(view, None)
    with pytest.raises(NotKnown, match="no initramfs of kernel"):
        look(view, NAMES)


def entry(name: bytes, size: int) -> bytes:
    numbers = (0, 0o100644, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name + b"\0"
    return head + bytes(-len(head) % 4)


def endless_names() -> bytes:
    return kernels.packed(entry(b"lib/modules/1/ahci.ko", 0) * 250_000, "zstd")


def bomb() -> bytes:
    """Three GiB of zeros, in a few hundred KiB."""
    return subprocess.run(
        ["bash", "-c", "(cat; head -c 3G /dev/zero) | zstd -cq"],
        input=entry(b"zeros", 3 * 2**30),
        capture_output=True,
        check=True,
    ).stdout


def truncated() -> bytes:
    return kernels.packed((entry(b"lib/modules/1/ahci.ko", 4) + b"abcd") * 1000, "xz")[:-40]


def wide_window() -> bytes:
    """Wants 1 GiB of memory to be unpacked."""
    script = "head -c 1100M /dev/zero | zstd -cq --ultra --long=30"
    return subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (endless_names, "too many entries"),
        (bomb, "too large"),
        (truncated, "could not be read: xz ended with|too early"),
        (wide_window, "could not be read"),
        (lambda: os.urandom(100_000), "packed in a way|ended with|too early|no archive"),
        (lambda: b"070701" * 100_000, "damaged"),
        (lambda: bytes(100_000_000), "empty"),
    ],
)
def test_hostile_content_ends_in_not_known(
    view: KernelView, make: Callable[[], bytes], why: str
) -> None:
    installed(view, make())
    with pytest.raises(NotKnown, match=why):
        look(view, NAMES)


@pytest.mark.parametrize("apart", [startup._ALONE, startup._NOT_ROOT])
def test_root_and_others_read_the_same(tmp_path: Path, apart: tuple[str, ...]) -> None:
    (tmp_path / "initrd").write_bytes(kernels.initramfs(tmp_path, EARLY))
    with (tmp_path / "initrd").open("rb") as file:
        told = subprocess.run(
            [*apart, sys.executable, "-m", "worker.filesystems.initramfs", *NAMES],
            stdin=file,
            capture_output=True,
            text=True,
            check=True,
        )
    assert told.stdout.split() == ["ata_piix", "hv_storvsc", "sd_mod"]


def test_who_reads_it_has_no_rights() -> None:
    """As it is started, and as it goes on before the first byte."""
    program = (
        "from worker.filesystems.initramfs import give_up_rights\n"
        "give_up_rights()\n"
        "print(open('/proc/self/status').read(), open('/proc/self/limits').read())\n"
        "print('net', open('/proc/net/dev').read().count(':'))\n"
        "try: open('/etc/shadow')\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = subprocess.run(
        [*startup._ALONE, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout
    lines = {line.partition(":")[0]: line.partition(":")[2].split() for line in told.splitlines()}
    assert lines["Uid"] == lines["Gid"] == ["65534"] * 4
    assert lines["Groups"] == []
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(lines[name][0], 16) == 0, name
    assert lines["NoNewPrivs"] == ["1"]
    assert re.search(r"Max address space +536870912 ", told)
    assert re.search(r"Max file size +0 ", told)
    assert "net 1" in told  # lo, and it is down
    assert told.endswith("\nPermissionError\n")
