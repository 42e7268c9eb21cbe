"""What a kernel's package and the maker of its initramfs leave on a server, made by real tools.

The files are empty or short: what counts is where they stand and what they are called.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VERSION = "6.1.0-18-amd64"
PACKERS = {
    "gzip": ("gzip", "-c"),
    "bzip2": ("bzip2", "-c"),
    "xz": ("xz", "-c", "--check=crc32"),
    "lzma": ("xz", "-c", "--format=lzma"),
    "lz4": ("lz4", "-c", "-l", "-q"),
    "zstd": ("zstd", "-c", "-q", "-19"),
    "none": ("cat",),
}
"""As makers of initramfs call them."""


def cpio(folder: Path) -> bytes:
    """The folder's tree as an archive of cpio's."""
    names = subprocess.run(
        ["find", ".", "-print0"], cwd=folder, capture_output=True, check=True
    ).stdout
    command = ["cpio", "--null", "--create", "--format=newc", "--quiet", "--reproducible"]
    return subprocess.run(command, input=names, cwd=folder, capture_output=True, check=True).stdout


def packed(data: bytes, packer: str = "gzip") -> bytes:
    """The data, by a packer of `PACKERS`."""
    return subprocess.run(PACKERS[packer], input=data, capture_output=True, check=True).stdout


def module_files(folder: Path, paths: Iterable[str], version: str = VERSION) -> None:
    """Files of modules below a root, by their paths below kernel/."""
    for path in paths:
        file = folder / "usr/lib/modules" / version / "kernel" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\x7fELF")


def initramfs(scratch: Path, paths: Iterable[str], *, packer: str = "gzip") -> bytes:
    """One with these modules, behind microcode in an archive that is not compressed."""
    early, main = scratch / "early", scratch / "main"
    (early / "kernel/x86/microcode").mkdir(parents=True)
    (early / "kernel/x86/microcode/GenuineIntel.bin").write_bytes(b"\x01" * 5000)
    (main / "odd names").mkdir(parents=True)
    (main / "odd names/a\nahci.ko is not here").touch()
    (main / "bin").symlink_to("usr/bin")
    module_files(main, paths)
    made = cpio(early) + packed(cpio(main), packer)
    shutil.rmtree(early)
    shutil.rmtree(main)
    return made


def install(
    root: Path,
    *,
    built_in: Iterable[str] = (),
    on_disk: Iterable[str] = (),
    version: str = VERSION,
    image: bytes | None = None,
    name: str = "initrd.img-{}",
) -> None:
    """The kernel's files below a root; `image` is its initramfs's content."""
    modules = root / "usr/lib/modules" / version
    module_files(root, on_disk, version)
    modules.mkdir(parents=True, exist_ok=True)
    (modules / "modules.builtin").write_text("".join(f"kernel/{path}\n" for path in built_in))
    (modules / "modules.dep").write_text(
        "".join(f"kernel/{path}: kernel/drivers/some/thing.ko\n" for path in on_disk)
    )
    (root / "boot").mkdir(exist_ok=True)
    (root / f"boot/vmlinuz-{version}").write_bytes(b"MZ")
    if image is not None:
        (root / "boot" / name.format(version)).write_bytes(image)
