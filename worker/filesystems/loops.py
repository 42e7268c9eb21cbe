"""Loop devices that clear themselves: whoever made one may be killed at any moment.

A device is made with the flag that frees it when nobody has it open or mounted any more; losetup
can set that only afterwards. The layouts are those of linux/loop.h; LOOP_CONFIGURE is of Linux 5.8.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_CONTROL = "/dev/loop-control"
_CTL_GET_FREE = 0x4C82
_CONFIGURE = 0x4C0A
_AUTOCLEAR = 4
_INFO = struct.Struct("=5Q 4I 64s 64s 32s 2Q")  # loop_info64
_CONFIG = struct.Struct(f"=2I {_INFO.size}s 64x")  # loop_config
_TRIES = 20
"""Others take free devices at the same time."""


class Loop:
    """A stretch of a file as a block device that can be written to; `path` is the device's."""

    def __init__(self, file: str, *, start: int, length: int) -> None:
        """Raises `OSError`."""
        backing = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.path, self._device = _attached(backing, start, length)
        finally:
            os.close(backing)

    def close(self) -> None:
        """Let go of it; while it is mounted it stays."""
        os.close(self._device)


def _attached(backing: int, start: int, length: int) -> tuple[str, int]:
    info = _INFO.pack(0, 0, 0, start, length, 0, 0, 0, _AUTOCLEAR, b"snapport", b"", b"", 0, 0)
    config = _CONFIG.pack(backing, 0, info)
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            path = f"/dev/loop{fcntl.ioctl(control, _CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _CONFIGURE, config)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
            else:
                return path, device
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no loop device is free")
