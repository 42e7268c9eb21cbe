"""README.txt: what a snapshot's owner needs years later, with nothing but the files at hand.

Written last; a snapshot is complete exactly when it stands. The `MD5` and `SHA-256` lines are laid
out so that a person can read them and a script can find them.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal.domain.kinds import FACTS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from portal.domain.options import Options


@dataclass(frozen=True, slots=True)
class ReadmeFile:
    """A file as the README tells of it; sizes in bytes. `ranges`: an `.xmbr`'s, (start, length).

    `virtual_size`: of an export, the size of the disk that the new machine sees.
    """

    name: str
    size: int
    md5: str
    sha256: str
    source_size: int
    ranges: Sequence[tuple[int, int]] = ()
    virtual_size: int | None = None


def write_readme(
    *,
    server: str,
    operating_system: str,
    kind: Kind,
    taken: datetime,
    folder: str,
    options: Options,
    files: Sequence[ReadmeFile],
    notes: Sequence[str] = (),
) -> str:
    """The text, UTF-8, lines of at most 79 characters but for names.

    `notes` are sentences on what an export's new machine has to be like.
    """
    title = f"Snapshot of {server}"
    lines = [
        title,
        "=" * min(len(title), 79),
        "",
        f"Taken:   {taken:%Y-%m-%d %H:%M:%S} UTC",
        f"Kind:    {FACTS[kind].label}",
    ]
    if operating_system:
        lines.append(f"System:  {operating_system}")
    if kind is Kind.RAW or FACTS[kind].export:
        unused = "left out: reads as zeros" if options.skip_unused else "kept: every sector is here"
        lines.append(f"Unused:  {unused}")
    if kind is Kind.TAR:
        lines += [f"Left out: {pattern}" for pattern in options.exclude]
    lines += [f"Folder:  {folder}", "", "Files", "-----"]
    for file in files:
        lines += [
            "",
            file.name,
            f"    size     {file.size} bytes",
            f"    MD5      {file.md5}",
            f"    SHA-256  {file.sha256}",
            _content(file),
        ]
    lines += ["", *_CHECK.format(first=_quoted(files[0].name)).splitlines()]
    lines += ["", *_HOW[kind](files)]
    if FACTS[kind].export:
        lines += ["", *_EXPORT.splitlines()]
        for note in notes:
            lines += ["", *textwrap.wrap(note, 78)]
    lines += ["", *_PARTS.splitlines(), "", *_HOST_KEYS.splitlines(), ""]
    return "\n".join(lines)


def _content(file: ReadmeFile) -> str:
    if file.name.endswith(FACTS[Kind.OVA].suffix):
        total = file.source_size
        return f"    holds all disks ({total} bytes, each rounded up to 64 KiB with zeros)"
    if file.virtual_size is None:
        return f"    unpacks to {file.source_size} bytes"
    if file.virtual_size == file.source_size:
        return f"    a disk of  {file.virtual_size} bytes"
    added = file.virtual_size - file.source_size
    return f"    a disk of  {file.virtual_size} bytes ({added} zeros added at its end)"


def _raw(files: Sequence[ReadmeFile]) -> list[str]:
    name = files[0].name
    unpacked = name.removesuffix(".gz")
    return _UNPACK_RAW.format(first=_quoted(name), raw=_quoted(unpacked)).splitlines()


def _tar(files: Sequence[ReadmeFile]) -> list[str]:
    return _UNPACK_TAR.format(first=_quoted(files[0].name)).splitlines()


def _ntfsclone(files: Sequence[ReadmeFile]) -> list[str]:
    lines = _UNPACK_NTFSCLONE.splitlines()
    for file in files:
        name = _quoted(file.name)
        if file.name.endswith(".xmbr"):
            at = 0
            for start, length in file.ranges:
                lines.append(
                    f"    dd if={name} of=/dev/DISK bs=1M conv=notrunc"
                    f" iflag=skip_bytes,count_bytes oflag=seek_bytes"
                    f" skip={at} count={length} seek={start}"
                )
                at += length
            lines += ["    partprobe /dev/DISK", ""]
        elif file.name.endswith(".img.gz"):
            number = _number(file.name, ".img.gz")
            lines += [
                f"    gunzip --stdout {name} |",
                f"        ntfsclone --restore-image --overwrite /dev/DISK{number} -",
            ]
        else:
            number = _number(file.name, ".raw.gz")
            lines.append(f"    gunzip --stdout {name} | dd bs=1M of=/dev/DISK{number}")
    return lines


def _vmdk(files: Sequence[ReadmeFile]) -> list[str]:
    return _IMPORT_VMDK.format(first=_quoted(files[0].name)).splitlines()


def _vhd(files: Sequence[ReadmeFile]) -> list[str]:
    return _IMPORT_VHD.format(first=_quoted(files[0].name)).splitlines()


def _vhdx(files: Sequence[ReadmeFile]) -> list[str]:
    return _IMPORT_VHDX.format(first=_quoted(files[0].name)).splitlines()


def _qcow2(files: Sequence[ReadmeFile]) -> list[str]:
    return _IMPORT_QCOW2.format(first=_quoted(files[0].name)).splitlines()


def _ova(files: Sequence[ReadmeFile]) -> list[str]:
    return _IMPORT_OVA.format(first=_quoted(files[0].name)).splitlines()


def _number(name: str, suffix: str) -> str:
    """The partition's number in `NAME-pN.SUFFIX`; empty for a disk without a table."""
    number = name.removesuffix(suffix).rpartition("-p")[2]
    return "" if number == "0" else number


def _quoted(name: str) -> str:
    """A name that a POSIX shell takes as one word, whatever it holds."""
    return "'" + name.replace("'", "'\\''") + "'"


_CHECK = """\
How to check a download
-----------------------

Linux:    md5sum {first}
macOS:    md5 {first}
Windows:  certutil -hashfile FILE MD5

The answer must be the MD5 above. SHA-256 is checked alike (sha256sum,
shasum -a 256, certutil -hashfile FILE SHA256). A file that differs is not
whole: download it again."""

_UNPACK_TAR = """\
How to unpack
-------------

The file is one GNU tar archive of all file systems of the server. As root,
in the empty root of the new one:

    tar --extract --xattrs --xattrs-include='*.*' --acls --selinux \\
        --numeric-owner --same-permissions --same-owner \\
        --delay-directory-restore --file={first}

Owners are told by number; attributes, access lists, capabilities and SELinux
labels are in the archive, and come back only with these options.
snapshot.json notes, under "machine", what an archive cannot hold: the
partition table, the file systems with their UUIDs, flags set by chattr,
sockets, and the boot loader."""

_UNPACK_NTFSCLONE = """\
How to put it back
------------------

    NAME.xmbr        the disk outside of its partitions: boot loader, table
    NAME-pN.img.gz   partition N, NTFS, for Linux's ntfsclone
    NAME-pN.raw.gz   partition N, anything else, sector by sector

From a Linux rescue system, on a disk at least as large as the first; what is
on /dev/DISK is lost:
"""

_EXPORT = """\
About exports
-------------

An export is for other virtualisation: a server here can never be re-imaged
from it. Take a raw or tar snapshot for that."""

_IMPORT_VMDK = """\
How to import it
----------------

VMware vSphere    upload the file to a datastore, and clone it there into the
                  form that ESXi runs from:
                      vmkfstools -i {first} -d thin disk.vmdk
                  then make a virtual machine with that existing disk.
VMware            make a virtual machine for this operating system with
Workstation,      "Use an existing virtual disk", and choose the file; let it
Fusion, Player    convert the disk when it asks.
VirtualBox        clone the file into a disk that can be written to:
                      VBoxManage clonemedium disk {first} disk.vdi
                  then make a machine with that existing disk.
KVM, Proxmox      qemu-img convert -p -O qcow2 {first} disk.qcow2"""

_IMPORT_VHD = """\
How to import it
----------------

Hyper-V           New virtual machine, generation 1, "Use an existing virtual
                  hard disk". Generation 2 takes only VHDX:
                      Convert-VHD {first} disk.vhdx
Virtual PC        New virtual machine, "Use an existing virtual hard disk".
Azure             wants a fixed VHD (an option of the export):
                      az storage blob upload --type page --file {first} ...
                      az disk create --source <the blob's address> ...
XenServer         xe vdi-import uuid=<vdi> format=vhd filename={first}
VirtualBox        New machine, "Use an existing virtual hard disk file"."""

_IMPORT_VHDX = """\
How to import it
----------------

Hyper-V           New virtual machine, "Use an existing virtual hard disk".
                  Generation 1 for a server that starts with BIOS, generation
                  2 for UEFI (turn Secure Boot off if it does not start).
Azure             takes no VHDX:
                      qemu-img convert -O vpc -o subformat=fixed,force_size \\
                          {first} disk.vhd
VirtualBox, KVM   qemu-img convert -p -O qcow2 {first} disk.qcow2"""

_IMPORT_QCOW2 = """\
How to import it
----------------

KVM, libvirt      virt-install --import --disk {first} \\
                      --memory 2048 --osinfo detect=on,require=off
Proxmox           qm importdisk <machine's number> {first} <storage>
OpenStack         openstack image create --disk-format qcow2 \\
                      --container-format bare --file {first} NAME

The file is compressed: what is read often is faster from a copy,
qemu-img convert -p -O qcow2 {first} disk.qcow2."""

_IMPORT_OVA = """\
How to import it
----------------

VMware vSphere    "Deploy OVF Template", and choose the file. Or:
                      ovftool {first} vi://USER@HOST/...
VMware            File, Open, and choose the file.
Workstation,
Fusion, Player
VirtualBox        File, Import Appliance. Or:
                      VBoxManage import {first}
KVM               virt-v2v -i ova {first} -o local -os /var/tmp
Other             the file is a tar archive: tar --extract gives the disks as
                  VMDK files.

The new machine begins with two processors, 2 GiB of memory and one network
adapter: set them as you need them before its first start."""

_UNPACK_RAW = """\
How to unpack
-------------

The file is one standard gzip file: gunzip, 7-Zip and the like read it.

    gunzip --keep {first}

gives {raw}, the disk sector by sector. To save room, keep its
empty stretches as holes:

    gunzip --stdout {first} | dd conv=sparse bs=1M of={raw}

(`gunzip -l` states sizes modulo 4 GiB: trust the sizes above.)"""

_PARTS = """\
About the .part folder
----------------------

The store keeps the file in parts, under .part beside this folder, and joins
them when the file is downloaded. You need not download the parts. Parts are
shared by all snapshots of this server: deleting them by hand destroys
snapshots. Delete a snapshot from its page instead."""

_HOST_KEYS = """\
SSH host keys
-------------

A snapshot is an exact copy, SSH host keys included. If several live servers
are made from it, give each its own keys:

Debian and Ubuntu:   rm /etc/ssh/ssh_host_*key*
                     ssh-keygen -A
                     systemctl restart ssh
CentOS and the like: rm /etc/ssh/ssh_host_*key*
                     systemctl restart sshd

At the next log-in SSH warns that the host key has changed: remove the old
line from your known_hosts file."""

_HOW: dict[Kind, Callable[[Sequence[ReadmeFile]], list[str]]] = {
    Kind.RAW: _raw,
    Kind.TAR: _tar,
    Kind.NTFSCLONE: _ntfsclone,
    Kind.VMDK: _vmdk,
    Kind.VHD: _vhd,
    Kind.VHDX: _vhdx,
    Kind.QCOW2: _qcow2,
    Kind.OVA: _ova,
}
