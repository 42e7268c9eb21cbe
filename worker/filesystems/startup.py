"""What a server's Linux starts with: the newest kernel in /boot, and the drivers it has at once.

The newest is what boot loaders start unless somebody chose otherwise; what somebody chose is not
looked up. Drivers stand in the kernel (`modules.builtin`), in its initramfs, or on the disk alone
(`modules.dep`), where they come too late.

What must always hold: paths are put together of checked words; no link is followed; what is not
surely known is told as not known (`NotKnown`), with the reason for the log.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from worker.filesystems.initramfs import NotKnown, module_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PLACES = frozenset({"/", "/boot", "/usr"})
"""Where, among a server's mounts, it lies."""

_MODULES = ("/lib/modules", "/usr/lib/modules")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}")
_KERNELS = ("vmlinuz-{}", "kernel-{}")
_INITRAMFS = ("initrd.img-{}", "initramfs-{}.img", "initrd-{}", "initramfs-{}")
"""As Debian, Red Hat and Arch, SUSE, and Alpine and Gentoo name it."""
_VERSIONS_MOST = 20
"""Versions that are looked for in /boot; a hostile folder has thousands."""
_LIST_MOST = 16 * 1024 * 1024
_INITRAMFS_MOST = 1024**3
_SECONDS = 120
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ALONE = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--ipc", "--pid", "--fork", "--kill-child"),
    # What it takes to load Python and to become nobody; `initramfs` gives these up too.
    *("setpriv", "--bounding-set", "-all,+setuid,+setgid,+dac_read_search", "--no-new-privs"),
)
_NOT_ROOT = ("setpriv", "--pdeathsig", "KILL", "--ambient-caps=-all", "--no-new-privs")
"""Where libguestfs mounts, the worker need not be root: it stays who it is."""


class View(Protocol):
    """Reads a server's files. Paths are absolute, as the server sees them; no link is followed."""

    def names(self, folder: str) -> list[str]:
        """What is in a folder; nothing where it is none."""

    def open(self, path: str, most: int) -> BinaryIO | None:
        """A plain file of at most so many bytes, from its start; None where it is none."""


def look(view: View, wanted: Sequence[str]) -> dict[str, Any]:
    """As `portal.domain.drivers.Drivers` has it, of these modules. Raises `NotKnown`."""
    folder, version, initramfs = _newest(view)
    built_in = _listed(view, f"{folder}/{version}/modules.builtin")
    on_disk = _listed(view, f"{folder}/{version}/modules.dep")
    file = view.open(f"/boot/{initramfs}", _INITRAMFS_MOST)
    if file is None:
        raise NotKnown(f"/boot/{initramfs} is no plain file, or too large")
    with file:
        early = built_in | modules_inside(file, wanted)
    return {
        "kernel": version,
        "initramfs": initramfs,
        "early": [name for name in wanted if name in early],
        "later": [name for name in wanted if name in on_disk - early],
        "absent": [name for name in wanted if name not in early | on_disk],
    }


def modules_inside(file: BinaryIO, wanted: Sequence[str]) -> set[str]:
    """Those of `wanted` that an initramfs holds, told by a process without rights of its own."""
    root = os.geteuid() == 0
    try:
        done = subprocess.run(  # noqa: S603
            [
                *(_ALONE if root else _NOT_ROOT),
                *(sys.executable, "-m", "worker.filesystems.initramfs", *wanted),
            ],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                "PATH": _PATH,
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise NotKnown(f"the initramfs could not be read within {_SECONDS} s") from error
    said = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        reason = said.strip()[:500] or f"its reader ended with {done.returncode}"
        raise NotKnown(f"the initramfs could not be read: {reason}")
    return set(said.split())


def _newest(view: View) -> tuple[str, str, str]:
    """The folder of modules, the kernel's version, and the name of its initramfs in /boot."""
    boot = set(view.names("/boot"))
    for folder in _MODULES:
        for version in newest_first(view.names(folder))[:_VERSIONS_MOST]:
            for word in _words(view, folder, version):
                if any(kernel.format(word) in boot for kernel in _KERNELS):
                    names = (name.format(word) for name in _INITRAMFS)
                    found = next((name for name in names if name in boot), None)
                    if found is None:
                        raise NotKnown(f"there is no initramfs of kernel {version} in /boot")
                    return folder, version, found
    raise NotKnown("there is no kernel in /boot that has modules")


def newest_first(names: Iterable[str]) -> list[str]:
    """Versions of kernels, numbers compared as numbers; what is no version is left out."""
    versions = [name for name in names if _WORD.fullmatch(name)]
    return sorted(versions, key=_order, reverse=True)


def _order(version: str) -> list[str | int]:
    pieces = re.split(r"([0-9]+)", version)
    return [int(piece) if at % 2 else piece for at, piece in enumerate(pieces)]


def _words(view: View, folder: str, version: str) -> Iterator[str]:
    """What /boot may call the kernel: by its version, by Arch's package, by Alpine's flavour."""
    yield version
    package = view.open(f"{folder}/{version}/pkgbase", 1024)
    if package is not None:
        with package:
            word = package.read().decode(errors="replace").strip()
        if _WORD.fullmatch(word):
            yield word
    yield version.rpartition("-")[2]


def _listed(view: View, path: str) -> set[str]:
    """The modules that a list of depmod's names: a path a line, for some with what it needs."""
    file = view.open(path, _LIST_MOST)
    if file is None:
        raise NotKnown(f"{path} is no plain file, or too large")
    with file:
        paths = (line.partition(b":")[0].strip() for line in file)
        return {name for name in map(module_of, paths) if name}
