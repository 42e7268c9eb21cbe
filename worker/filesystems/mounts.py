"""Mounting, in the child's own namespace: read-only, and never writing to a disk.

What must always hold: nothing stays when the namespace goes. Loop devices clear themselves with
their last user; the storage daemon dies with its parent.

A file system is mounted from its disk. One that first has to replay its journal cannot be: the disk
is read-only. It is mounted from an overlay, a file that QEMU's storage daemon makes of the disk and
of a qcow2 that takes what is written.

The daemon has a mount namespace of its own, in which its file alone is mounted. If it were in the
child's, it could be the last there, and unmount at its own end what only it can serve: that hangs,
and with it everybody who calls sync(2).
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from worker.filesystems.loops import Loop
from worker.filesystems.tree import NotMounted

_OPTIONS = "ro,nosuid,nodev,noexec"
_TIMEOUT = 300
"""Seconds for a mount: replaying a journal reads it all."""
_DAEMON_SECONDS = 30


class Mounter:
    """Mounts volumes of disks; `scratch` is a folder of its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._overlays: dict[str, str] = {}
        self._loops: dict[tuple[str, int], Loop] = {}
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.replayed: list[str] = []

    def mount(self, volume: dict[str, Any], at: Path, *, subvolume: str = "") -> None:
        """Mount the volume there. Raises `NotMounted`."""
        options = [_OPTIONS]
        if volume["type"] == "xfs":
            options.append("nouuid")
        if subvolume:
            options.append(subvolume)
        window = [f"offset={volume['start']}", f"sizelimit={volume['length']}"]
        command = ["mount", "-t", volume["type"], "-o"]
        try:
            _run([*command, ",".join([*options, "loop", *window]), volume["path"], str(at)])
        except NotMounted as first:
            try:
                self._mount_replayed(volume, at, [*command, ",".join(options)])
            except NotMounted as error:
                raise NotMounted(f"{first}; over an overlay: {error}") from error
            self.replayed.append(volume["uuid"])

    def unmount(self, at: Path) -> None:
        """Unmount what is there."""
        _run(["umount", str(at)])

    def _mount_replayed(self, volume: dict[str, Any], at: Path, command: list[str]) -> None:
        overlay = self._overlay(volume["path"])
        # Another subvolume of the same btrfs: the kernel takes it from the same device only.
        key = (overlay, volume["start"])
        if key not in self._loops:
            try:
                self._loops[key] = Loop(overlay, start=volume["start"], length=volume["length"])
            except OSError as error:
                raise NotMounted(f"loop device: {error}") from error
        _run([*command, self._loops[key].path, str(at)])

    def _overlay(self, disk: str) -> str:
        """The disk as a file that can be written to, seen from here."""
        if disk in self._overlays:
            return self._overlays[disk]
        number = len(self._overlays) + 1
        changes = self._scratch / f"changes-{number}.qcow2"
        export = self._scratch / f"overlay-{number}.raw"
        told = self._scratch / f"daemon-{number}.pid"
        export.touch()
        _run(["qemu-img", "create", "-q", "-f", "qcow2", str(changes), str(_size(disk))])
        above = "driver=qcow2,node-name=top,backing=disk,file.driver=file"
        below = f"driver=raw,node-name=disk,read-only=on,file.driver={_driver(disk)}"
        daemon = subprocess.Popen(  # noqa: S603
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--mount", "--propagation", "private", "qemu-storage-daemon"),
                *("--blockdev", f"{below},file.filename={_escaped(disk)}"),
                *("--blockdev", f"{above},file.filename={_escaped(str(changes))}"),
                "--export",
                f"type=fuse,id=out,node-name=top,writable=on,mountpoint={_escaped(str(export))}",
                *("--pidfile", str(told)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self._daemons.append(daemon)
        ends = time.monotonic() + _DAEMON_SECONDS
        while not told.exists():
            if daemon.poll() is not None or time.monotonic() > ends:
                raise NotMounted("The storage daemon did not start.")
            time.sleep(0.02)
        self._overlays[disk] = f"/proc/{daemon.pid}/root{export}"
        return self._overlays[disk]


def _driver(disk: str) -> str:
    return "host_device" if Path(disk).is_block_device() else "file"


def _size(disk: str) -> int:
    with open(disk, "rb") as file:  # noqa: PTH123  # its size by seeking: it may be a device
        return file.seek(0, os.SEEK_END)


def _escaped(value: str) -> str:
    """Commas in a value of QEMU's options are doubled."""
    return value.replace(",", ",,")


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise NotMounted(f"{command[0]} took longer than {_TIMEOUT} s") from error
    if done.returncode != 0:
        raise NotMounted(f"{command[0]}: {done.stderr.strip()[:500]}")
    return done.stdout
