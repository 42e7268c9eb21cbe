"""A server's file systems, put together as its own fstab says: what is mounted where.

Whoever reads the disks (the kernel, or libguestfs) stands behind a `View`; what is decided here is
decided from foreign text, and nothing that a file system says is followed out of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from worker.filesystems import fstab

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

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

    def subvolumes(self) -> list[str]:
        """Of a btrfs that is mounted at /: its subvolumes in the uppermost folder, by name."""

    def is_plain_folder(self, path: str) -> bool:
        """Whether it is a folder, without a link on the way."""

    def used(self, path: str) -> int:
        """Bytes used on the file system that is mounted there."""

    def details(self, volume: dict[str, Any], path: str) -> dict[str, str]:
        """What making the file system anew needs: its tool's own words, by name."""

    def boot_loader(self) -> dict[str, Any]:
        """What boots the server, as far as its files tell."""


class _Root(NamedTuple):
    """A volume, or a subvolume of it, with the /etc/fstab that is in it."""

    volume: dict[str, Any]
    text: str
    subvolume: str = ""

    @property
    def names_itself(self) -> bool:
        """Whether its fstab mounts it at /."""
        try:
            mounts = fstab.parse(self.text)
        except fstab.Unusable:
            return False
        return any(
            mount.path == "/"
            and fstab.normal(mount.spec) in self.volume["names"]
            and (mount.subvolume.startswith("subvolid=") or self._is(mount.subvolume))
            for mount in mounts
        )

    def _is(self, subvolume: str) -> bool:
        return not self.subvolume or fstab.plain(subvolume) == fstab.plain(self.subvolume)


class Tree:
    """The file systems of one server; `volumes` as `volumes.Volume` has them."""

    def __init__(self, view: View, volumes: list[dict[str, Any]]) -> None:
        self._view = view
        self._volumes = volumes
        self._at_root: tuple[dict[str, Any], str] | None = None
        self._mounted: list[dict[str, Any]] = []

    def mount(self, only: Container[str] | None = None) -> dict[str, Any]:
        """Mount all of them, or those with these mount points; what was mounted.

        Raises `Refused`.
        """
        root = self._find_root()
        mounts = fstab.parse(root.text)
        own = next((mount for mount in mounts if mount.path == "/"), None)
        subvolume = (own.subvolume if own else "") or root.subvolume
        self._mount(root.volume, "/", subvolume)
        mounts = [mount for mount in mounts if only is None or mount.path in only]
        for mount in mounts:
            if mount.path == "/":
                continue
            found = self._volume_of(mount.spec)
            if found is not None:
                self._mount(found, mount.path, mount.subvolume)
            elif not mount.optional:
                raise Refused(
                    f"The server mounts {mount.path} from “{mount.spec}”, which is on none of its"
                    f" disks: {RAW}"
                )
        return {
            "mounts": self._mounted,
            "used": sum(self._view.used(entry["mount"]) for entry in self._mounted),
            "fstab": root.text,
            "boot": self._view.boot_loader(),
        }

    @property
    def mount_points(self) -> list[str]:
        """What is to be archived: each file system by its mount point, in the order of mounting."""
        return [entry["mount"] for entry in self._mounted]

    def mount_points_of(self, kind: str) -> list[str]:
        """Those of one type of file system."""
        return [entry["mount"] for entry in self._mounted if entry["type"] == kind]

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

    def _find_root(self) -> _Root:
        """Whose /etc/fstab makes it the root; what was looked at last is still mounted at /."""
        found: list[_Root] = []
        details: list[str] = []
        for volume in self._volumes:
            if volume["in_pieces"] and not self._view.pieces:
                details.append(f"{volume['names'][:1]} lies in pieces")
                continue
            try:
                found += self._roots_of(volume)
            except NotMounted as error:
                details.append(str(error))
        if len(found) > 1:
            found = [root for root in found if root.names_itself]
        if len(found) != 1:
            many = "More than one Linux system was" if found else "No Linux system was"
            raise Refused(f"{many} found on this server's disks: {RAW}", "; ".join(details))
        return found[0]

    def _roots_of(self, volume: dict[str, Any]) -> Iterator[_Root]:
        """The volume, and of a btrfs its subvolumes, where they look like a root."""
        names = []
        self._mount_root(volume)
        text = self._view.fstab()
        if volume["type"] == "btrfs" and text is None:
            names = self._view.subvolumes()
        if text is not None:
            yield _Root(volume, text)
        for name in names:
            subvolume = f"subvol={name}"
            self._mount_root(volume, subvolume)
            text = self._view.fstab()
            if text is not None:
                yield _Root(volume, text, subvolume)

    def _mount_root(self, volume: dict[str, Any], subvolume: str = "") -> None:
        """Mount at /, in place of what is there. Mounting takes a hundredth of a second."""
        if self._at_root == (volume, subvolume):
            return
        if self._at_root is not None:
            self._view.unmount_root()
            self._at_root = None
        self._view.mount(volume, "/", subvolume=subvolume)
        self._at_root = (volume, subvolume)

    def _volume_of(self, spec: str) -> dict[str, Any] | None:
        wanted = fstab.normal(spec)
        found = [volume for volume in self._volumes if wanted in volume["names"]]
        if len(found) > 1:
            raise Refused(f"“{spec}” in the server's /etc/fstab is on more than one place: {RAW}")
        return found[0] if found else None

    def _mount(self, volume: dict[str, Any], path: str, subvolume: str) -> None:
        if path != "/" and not self._view.is_plain_folder(path):
            raise Refused(f"The server's mount point {path} is no plain folder: {RAW}")
        if volume["in_pieces"] and not self._view.pieces:
            raise Refused(
                f"The logical volume of {path} lies on its disk in pieces, which this host"
                f" cannot mount: {RAW}"
            )
        try:
            if path == "/":
                self._mount_root(volume, subvolume)
            else:
                self._view.mount(volume, path, subvolume=subvolume)
        except NotMounted as error:
            raise Refused(
                f"The file system of {path} ({volume['type']}) could not be opened: {RAW}",
                str(error),
            ) from error
        entry = {key: volume[key] for key in ("disk", "start", "length", "type", "uuid", "label")}
        entry |= {
            "mount": path,
            "subvolume": subvolume,
            "replayed": volume["uuid"] in self._view.replayed,
            "details": self._view.details(volume, path),
        }
        self._mounted.append(entry)


def _quoted(path: str) -> str:
    """A path that stands for itself as a pattern."""
    return "".join(f"\\{c}" if c in "*?[\\" else c for c in path)
