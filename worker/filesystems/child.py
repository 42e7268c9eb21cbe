"""The process that mounts: `python -m worker.filesystems.child REPORT_FD`, in a mount namespace.

It speaks in lines of JSON. It is asked on its standard input: which volumes there are; then, which
paths to leave out. It answers on REPORT_FD: what it mounted; then, how tar ended and what tar
cannot keep. The archive goes to its standard output. It ends when its input does.

It runs as root and knows nothing of the portal: no database, no store, no settings.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.filesystems import fstab, notes
from worker.filesystems.mounts import Mounter, NotMounted

if TYPE_CHECKING:
    from collections.abc import Iterable

RAW = "take a raw snapshot instead."
_TAR = (
    *("tar", "--create", "--file=-", "--format=posix", "--sort=name", "--numeric-owner"),
    *("--xattrs", "--xattrs-include=*", "--acls", "--selinux", "--sparse", "--one-file-system"),
    # The same files give the same bytes: no process number, no times that reading changes.
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    *("--anchored", "--wildcards"),
)
_APART = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child")
"""tar writes its process number into the names of sparse files: here it is always 1."""
_RIGHTS = ("--bounding-set", "-all,+dac_read_search,+sys_admin", "--no-new-privs")
"""Read every file (dac_read_search), and the attributes “trusted” (sys_admin): no more."""
_SAID = 20
_LINE = 500


class Refused(Exception):
    """It cannot be done; the first word is for the customer, the second for the log."""

    def __init__(self, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.detail = detail


def main(report_fd: int) -> int:
    """Mount, report, wait to be told, archive, report."""
    with os.fdopen(report_fd, "w") as report:

        def tell(answer: dict[str, Any]) -> None:
            report.write(json.dumps(answer) + "\n")
            report.flush()

        asked = json.loads(sys.stdin.readline())
        tree = Tree(Path(asked["scratch"]), asked["volumes"])
        try:
            tell(tree.mount())
        except Refused as refused:
            tell({"refused": str(refused), "detail": refused.detail})
            return 1
        except fstab.Unusable as unusable:
            tell({"refused": f"{unusable} So its files cannot be taken: {RAW}", "detail": ""})
            return 1
        line = sys.stdin.readline()
        if not line:
            return 1
        tell(tree.archive(json.loads(line)["exclude"]))
    return 0


class Tree:
    """The server's file systems, put together below one folder."""

    def __init__(self, scratch: Path, volumes: list[dict[str, Any]]) -> None:
        self._root = scratch / "root"
        self._root.mkdir()
        self._volumes = volumes
        self._mounter = Mounter(scratch)
        self._mounted: list[dict[str, Any]] = []

    def mount(self) -> dict[str, Any]:
        """Mount all of them; what was mounted. Raises `Refused`."""
        volume, text = self._find_root()
        mounts = fstab.parse(text)
        for mount in mounts:
            if mount.path == "/":
                if mount.subvolume:
                    self._mounter.unmount(self._root)
                    self._mount(volume, mount)
                else:
                    self._note(volume, mount.path)
                continue
            found = self._volume_of(mount.spec)
            if found is None:
                if mount.optional:
                    continue
                raise Refused(
                    f"The server mounts {mount.path} from “{mount.spec}”, which is on none of its"
                    f" disks: {RAW}"
                )
            self._mount(found, mount)
        if not any(mount.path == "/" for mount in mounts):
            self._mounted.insert(0, {})
            self._note(volume, "/", at=0)
        return {
            "mounts": self._mounted,
            "used": sum(_used(self._at(entry["mount"])) for entry in self._mounted),
            "fstab": text,
            "boot": notes.boot_loader(str(self._root)),
        }

    def archive(self, exclude: list[str]) -> dict[str, Any]:
        """Write the archive to the standard output; how that ended, and what tar cannot keep."""
        patterns = [f"--exclude={pattern}" for pattern in self._patterns(exclude)]
        members = [f".{entry['mount']}".rstrip("/") for entry in self._mounted]
        done = subprocess.run(  # noqa: S603
            [*_APART, "setpriv", *_RIGHTS, *_TAR, *patterns, *members],
            cwd=self._root,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        # The reader sees the end of the archive only when nobody holds it open.
        os.close(1)
        said = [line[:_LINE] for line in done.stderr.decode(errors="replace").splitlines()]
        told = [line for line in said if "socket ignored" not in line]
        return {
            "exit": done.returncode,
            "said": told[-_SAID:],
            **notes.walk(os.fsencode(self._root)),
        }

    def _find_root(self) -> tuple[dict[str, Any], str]:
        """The volume whose /etc/fstab makes it the root; it is mounted when this returns."""
        found: list[tuple[dict[str, Any], str]] = []
        details: list[str] = []
        for volume in self._volumes:
            if volume["in_pieces"]:
                details.append(f"{volume['names'][:1]} lies in pieces")
                continue
            try:
                self._mounter.mount(volume, self._root)
            except NotMounted as error:
                details.append(str(error))
                continue
            text = _fstab_of(self._root)
            self._mounter.unmount(self._root)
            if text is not None:
                found.append((volume, text))
        if len(found) > 1:
            found = [(volume, text) for volume, text in found if self._is_root(volume, text)]
        if len(found) != 1:
            many = "More than one Linux system was" if found else "No Linux system was"
            raise Refused(f"{many} found on this server's disks: {RAW}", "; ".join(details))
        volume, text = found[0]
        self._mounter.mount(volume, self._root)
        return volume, text

    def _is_root(self, volume: dict[str, Any], text: str) -> bool:
        try:
            mounts = fstab.parse(text)
        except fstab.Unusable:
            return False
        return any(
            mount.path == "/" and fstab.normal(mount.spec) in volume["names"] for mount in mounts
        )

    def _volume_of(self, spec: str) -> dict[str, Any] | None:
        wanted = fstab.normal(spec)
        found = [volume for volume in self._volumes if wanted in volume["names"]]
        if len(found) > 1:
            raise Refused(f"“{spec}” in the server's /etc/fstab is on more than one place: {RAW}")
        return found[0] if found else None

    def _mount(self, volume: dict[str, Any], mount: fstab.Mount) -> None:
        at = self._at(mount.path)
        if not _is_plain_folder(self._root, mount.path):
            raise Refused(f"The server's mount point {mount.path} is no plain folder: {RAW}")
        if volume["in_pieces"]:
            raise Refused(
                f"The logical volume of {mount.path} lies on its disk in pieces, which this host"
                f" cannot mount: {RAW}"
            )
        try:
            self._mounter.mount(volume, at, subvolume=mount.subvolume)
        except NotMounted as error:
            raise Refused(
                f"The file system of {mount.path} ({volume['type']}) could not be opened: {RAW}",
                str(error),
            ) from error
        self._note(volume, mount.path)

    def _note(self, volume: dict[str, Any], path: str, *, at: int | None = None) -> None:
        entry = {key: volume[key] for key in ("disk", "start", "length", "type", "uuid", "label")}
        entry |= {
            "mount": path,
            "replayed": volume["uuid"] in self._mounter.replayed,
            "details": _details(volume["type"], self._at(path)),
        }
        if at is None:
            self._mounted.append(entry)
        else:
            self._mounted[at] = entry

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _patterns(self, exclude: Iterable[str]) -> list[str]:
        """For tar: a folder's content, not the folder; anything else itself."""
        patterns = []
        for pattern in exclude:
            inside = pattern.strip("/")
            if _is_plain_folder(self._root, f"/{inside}"):
                patterns.append(f"./{_quoted(inside)}/*")
            else:
                patterns.append(f"./{inside}")
        return patterns


def _quoted(path: str) -> str:
    """A path that stands for itself as a pattern."""
    return "".join(f"\\{c}" if c in "*?[\\" else c for c in path)


def _fstab_of(root: Path) -> str | None:
    """The text, where this is the root of a Linux system; foreign links are not followed."""
    if not any(os.path.lexists(root / name) for name in ("sbin", "bin", "usr")):
        return None
    if not _is_plain_folder(root, "/etc"):
        return None
    try:
        opened = os.open(root / "etc/fstab", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        return file.read(fstab.MOST_BYTES).decode(errors="replace")


def _is_plain_folder(root: Path, path: str) -> bool:
    """Whether the path is a folder, without a link on the way."""
    at = root
    for name in path.strip("/").split("/"):
        at = at / name
        try:
            if not stat.S_ISDIR(os.lstat(at).st_mode):
                return False
        except OSError:
            return False
    return True


def _used(at: Path) -> int:
    told = os.statvfs(at)
    return (told.f_blocks - told.f_bfree) * told.f_frsize


def _details(kind: str, at: Path) -> dict[str, str]:
    """What making the file system anew needs: its tool's own words, by name."""
    command = {
        "ext4": ["dumpe2fs", "-h"],
        "xfs": ["xfs_info"],
    }.get(kind)
    if command is None:
        return {}
    device = subprocess.run(  # noqa: S603
        ["findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", str(at)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    told = subprocess.run(  # noqa: S603
        [*command, device], capture_output=True, text=True, check=False
    ).stdout
    if kind == "xfs":
        return {"xfs_info": told.replace(device, "DEVICE")[:4000]}
    wanted = ("Filesystem features", "Block size", "Inode size", "Inode count", "Block count")
    pairs = (line.partition(":") for line in told.splitlines())
    return {name: value.strip() for name, _, value in pairs if name in wanted}


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
