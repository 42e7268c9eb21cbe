"""A server's /etc/fstab: foreign text, so nothing in it is trusted.

fstab(5): device, mount point, type, options, separated by blanks; blanks are written `\\040`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MOST_BYTES = 64 * 1024
MOST_LINES = 200
_DATA = {"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "msdos", "auto"}
"""Types that hold files of the server; all others are made anew at boot, or are elsewhere."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_SUBVOLUME = re.compile(r"[A-Za-z0-9@._/-]{1,200}")


class Unusable(Exception):
    """The text says something that cannot be followed; the message is one sentence."""


class Mount(NamedTuple):
    """A file system of the server. `path` is absolute and plain; `optional`: may be missing."""

    spec: str
    path: str
    type: str
    optional: bool
    subvolume: str = ""


def parse(text: str) -> list[Mount]:
    """The file systems with files of the server: / first, and whatever is above before its content.

    Raises `Unusable`.
    """
    mounts: dict[str, Mount] = {}
    lines = [line for raw in text.splitlines() if (line := raw.strip()) and line[0] != "#"]
    if len(lines) > MOST_LINES:
        raise Unusable("The server's /etc/fstab has too many lines.")
    for line in lines:
        mount = _mount(line.split())
        if mount is None:
            continue
        if mount.path in mounts:
            raise Unusable(f"The server's /etc/fstab mounts {mount.path} twice.")
        mounts[mount.path] = mount
    return sorted(mounts.values(), key=lambda mount: (mount.path.count("/"), mount.path))


def _mount(fields: list[str]) -> Mount | None:
    if len(fields) < 3:
        return None
    spec, path, kind = (_unescaped(field) for field in fields[:3])
    options = fields[3].split(",") if len(fields) > 3 else []
    if kind not in _DATA or {"bind", "rbind", "noauto", "x-systemd.automount"} & set(options):
        return None
    if not path.startswith("/"):
        return None  # swap, none
    plain = "/" + "/".join(part for part in path.split("/") if part not in {"", "."})
    if ".." in plain.split("/") or not plain.isprintable():
        raise Unusable("The server's /etc/fstab has a mount point that is no plain path.")
    return Mount(
        spec=spec.replace('"', ""),
        path="/" if plain == "/" else plain,
        type=kind,
        optional="nofail" in options,
        subvolume=_subvolume(options),
    )


def _subvolume(options: list[str]) -> str:
    for option in options:
        name, _, value = option.partition("=")
        if name in {"subvol", "subvolid"}:
            if not is_subvolume(value):
                raise Unusable("The server's /etc/fstab names a subvolume in an unusual way.")
            return f"{name}={value}"
    return ""


def is_subvolume(name: str) -> bool:
    """Whether the name can stand in a mount option as it is."""
    return _SUBVOLUME.fullmatch(name) is not None


def plain(subvolume: str) -> str:
    """`subvol=/@` as `subvol=@`, to be compared."""
    name, _, value = subvolume.partition("=")
    return f"{name}={value.strip('/')}"


def _unescaped(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def normal(spec: str) -> str:
    """A spec as it is compared: `uuid=…` in lower case, quotes gone."""
    name, equals, value = spec.replace('"', "").partition("=")
    for tag in ("uuid", "partuuid", "label", "partlabel"):
        if equals and name.lower() == tag:
            return f"{tag}={value.lower() if 'uuid' in tag else value}"
        prefix = f"/dev/disk/by-{tag}/"
        if spec.startswith(prefix):
            value = spec.removeprefix(prefix)
            return f"{tag}={value.lower() if 'uuid' in tag else _udev(value)}"
    return spec


def _udev(text: str) -> str:
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text)
