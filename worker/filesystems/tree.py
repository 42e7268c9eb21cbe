"""A server's file systems, put together as its own fstab says: what is mounted where.

Whoever reads the disks (the kernel, or libguestfs) stands behind a `View`; what is decided here is
decided from foreign text, and nothing that a file system says is followed out of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from worker.filesystems import fstab

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

RAW = "take a raw snapshot instead."


class NotMounted(Exception):
    """The file system could not be mounted; the message is for the log."""


class Refused(Exception):
    """It cannot be done; the first word is for the customer, the second for the log."""

    def __init__(self, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.detail = detail


class View(Protocol):
    """Reads file systems. Paths are absolute, as the server sees them."""

    pieces: bool
    """Whether logical volumes that lie in pieces can be mounted."""
    replayed: list[str]
    """UUIDs of what had a journal to replay."""

    def mount(self, volume: dict[str, Any], path: str, *, subvolume: str = "") -> None:
        """Mount, read-only. Raises `NotMounted`."""

    def unmount_root(self) -> None:
        """Unmount what is at /."""

    def fstab(self) -> str | None:
        """The text of /etc/fstab, where what is mounted looks like the root of a Linux system."""

    def is_plain_folder(self, path: str) -> bool:
        """Whether it is a folder, without a link on the way."""

    def used(self, path: str) -> int:
        """Bytes used on the file system that is mounted there."""

    def details(self, volume: dict[str, Any], path: str) -> dict[str, str]:
        """What making the file system anew needs: its tool's own words, by name."""

    def boot_loader(self) -> dict[str, Any]:
        """What boots the server, as far as its files tell."""


class Tree:
    """The file systems of one server; `volumes` as `volumes.Volume` has them."""

    def __init__(self, view: View, volumes: list[dict[str, Any]]) -> None:
        self._view = view
        self._volumes = volumes
        self._mounted: list[dict[str, Any]] = []

    def mount(self, only: Container[str] | None = None) -> dict[str, Any]:
        """Mount all of them, or those with these mount points; what was mounted.

        Raises `Refused`.
        """
        volume, text = self._find_root()
        mounts = [mount for mount in fstab.parse(text) if only is None or mount.path in only]
        for mount in mounts:
            if mount.path == "/":
                if mount.subvolume:
                    self._view.unmount_root()
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
            "used": sum(self._view.used(entry["mount"]) for entry in self._mounted),
            "fstab": text,
            "boot": self._view.boot_loader(),
        }

    @property
    def members(self) -> list[str]:
        """What is to be archived, for tar in the root: each file system by its mount point."""
        return [f".{entry['mount']}".rstrip("/") for entry in self._mounted]

    def patterns(self, exclude: Iterable[str]) -> list[str]:
        """For tar: a folder's content, not the folder; anything else itself."""
        patterns = []
        for pattern in exclude:
            inside = pattern.strip("/")
            if self._view.is_plain_folder(f"/{inside}"):
                patterns.append(f"./{_quoted(inside)}/*")
            else:
                patterns.append(f"./{inside}")
        return patterns

    def _find_root(self) -> tuple[dict[str, Any], str]:
        """The volume whose /etc/fstab makes it the root; it is mounted when this returns."""
        found: list[tuple[dict[str, Any], str]] = []
        details: list[str] = []
        for volume in self._volumes:
            if volume["in_pieces"] and not self._view.pieces:
                details.append(f"{volume['names'][:1]} lies in pieces")
                continue
            try:
                self._view.mount(volume, "/")
            except NotMounted as error:
                details.append(str(error))
                continue
            text = self._view.fstab()
            self._view.unmount_root()
            if text is not None:
                found.append((volume, text))
        if len(found) > 1:
            found = [(volume, text) for volume, text in found if self._is_root(volume, text)]
        if len(found) != 1:
            many = "More than one Linux system was" if found else "No Linux system was"
            raise Refused(f"{many} found on this server's disks: {RAW}", "; ".join(details))
        volume, text = found[0]
        self._view.mount(volume, "/")
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
        if not self._view.is_plain_folder(mount.path):
            raise Refused(f"The server's mount point {mount.path} is no plain folder: {RAW}")
        if volume["in_pieces"] and not self._view.pieces:
            raise Refused(
                f"The logical volume of {mount.path} lies on its disk in pieces, which this host"
                f" cannot mount: {RAW}"
            )
        try:
            self._view.mount(volume, mount.path, subvolume=mount.subvolume)
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
            "replayed": volume["uuid"] in self._view.replayed,
            "details": self._view.details(volume, path),
        }
        if at is None:
            self._mounted.append(entry)
        else:
            self._mounted[at] = entry


def _quoted(path: str) -> str:
    """A path that stands for itself as a pattern."""
    return "".join(f"\\{c}" if c in "*?[\\" else c for c in path)
