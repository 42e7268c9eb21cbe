"""README.txt: what a snapshot's owner needs years later, with nothing but the files at hand.

Written last; a snapshot is complete exactly when it stands. The `MD5` and `SHA-256` lines are laid
out so that a person can read them and a script can find them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from portal.domain.kinds import KindFacts


@dataclass(frozen=True, slots=True)
class ReadmeFile:
    """A file as the README tells of it; sizes in bytes."""

    name: str
    size: int
    md5: str
    sha256: str
    source_size: int


def write_readme(
    *,
    server: str,
    operating_system: str,
    facts: KindFacts,
    taken: datetime,
    folder: str,
    skip_unused: bool,
    files: Sequence[ReadmeFile],
) -> str:
    """The text, UTF-8, lines of at most 79 characters but for names."""
    title = f"Snapshot of {server}"
    lines = [
        title,
        "=" * min(len(title), 79),
        "",
        f"Taken:   {taken:%Y-%m-%d %H:%M:%S} UTC",
        f"Kind:    {facts.label}",
    ]
    if operating_system:
        lines.append(f"System:  {operating_system}")
    unused = "left out: reads as zeros" if skip_unused else "kept: every sector is here"
    lines += [f"Unused:  {unused}", f"Folder:  {folder}", "", "Files", "-----"]
    for file in files:
        lines += [
            "",
            file.name,
            f"    size     {file.size} bytes",
            f"    MD5      {file.md5}",
            f"    SHA-256  {file.sha256}",
            f"    unpacks to {file.source_size} bytes",
        ]
    lines += ["", *_CHECK.format(first=_quoted(files[0].name)).splitlines()]
    if facts.suffix.endswith(".gz"):
        unpacked = files[0].name.removesuffix(".gz")
        lines += [
            "",
            *_UNPACK.format(first=_quoted(files[0].name), raw=_quoted(unpacked)).splitlines(),
        ]
    lines += ["", *_PARTS.splitlines(), "", *_HOST_KEYS.splitlines(), ""]
    return "\n".join(lines)


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

_UNPACK = """\
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
