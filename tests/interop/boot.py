"""Boots a disk, raw or an image file, in QEMU until it asks somebody to log in.

What must always hold:
- The disk is not written to: QEMU keeps the guest's writes in a file of its own.
- Booting ends by a deadline, and QEMU ends with it, or with this process should that be killed.
- KVM is used only where a guest was seen to run on it: a machine may have /dev/kvm and yet kill
  every guest. `SNAPPORT_TEST_ACCEL` (`kvm` or `tcg`) decides instead of the probe.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGIN = b" login: "
DEADLINE_SECONDS = 300.0
_PROBE_SECONDS = 10.0
_QEMU = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot"),
    *("-display", "none", "-vga", "none", "-nic", "none", "-serial", "stdio"),
)
# A boot sector that writes "alive" to the first serial port and halts:
# xor ax, ax; mov ds, ax; cld; mov si, text; mov dx, 0x3f8;
# next: lodsb; test al, al; jz halt; out dx, al; jmp next; halt: hlt; jmp halt; text:
_PROBE_CODE = bytes.fromhex("31c0 8ed8 fc be167c baf803 ac 84c0 7403 ee ebf8 f4 ebfd")
_PROBE_TEXT = b"alive"


class DidNotBoot(AssertionError):
    """The disk did not come up; the message ends with what its console said last."""


def boot_to_login(disk: Path, *, form: str = "raw", seconds: float = DEADLINE_SECONDS) -> str:
    """What the serial console said up to the login prompt. Raises `DidNotBoot`.

    `form` is the disk's format, as QEMU calls it.
    """
    machine = _machine(accelerator(), disk, form)
    return _watch(machine, LOGIN, seconds).decode(errors="replace")


@cache
def accelerator() -> str:
    """`kvm` or `tcg`, as the environment says, else `kvm` where a tiny guest ran on it."""
    wanted = os.environ.get("SNAPPORT_TEST_ACCEL", "")
    if wanted:
        if wanted not in {"kvm", "tcg"}:
            raise ValueError("SNAPPORT_TEST_ACCEL is neither kvm nor tcg.")
        return wanted
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and _runs_on("kvm") else "tcg"


def _machine(accel: str, disk: Path, form: str = "raw") -> tuple[str, ...]:
    drive = f"format={form},if=virtio"
    return (
        *_QEMU,
        *("-accel", accel, "-cpu", "max" if accel == "kvm" else "qemu64,-svm", "-m", "512"),
        # Commas in a QEMU option's value are doubled.
        *("-snapshot", "-drive", f"file={str(disk).replace(',', ',,')},{drive}"),
    )


def _runs_on(accel: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        sector = Path(folder) / "probe"
        code = _PROBE_CODE + _PROBE_TEXT
        sector.write_bytes(code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1024**2 - 512))
        try:
            _watch(_machine(accel, sector), _PROBE_TEXT, _PROBE_SECONDS)
        except DidNotBoot:
            return False
    return True


def _watch(argv: tuple[str, ...], awaited: bytes, seconds: float) -> bytes:
    """The console's output up to `awaited`; the machine is ended then."""
    ends = time.monotonic() + seconds
    said = bytearray()
    with _running(argv) as machine, selectors.DefaultSelector() as ready:
        console = machine.stdout
        assert console is not None
        ready.register(console, selectors.EVENT_READ)
        while awaited not in said:
            left = ends - time.monotonic()
            if left <= 0:
                raise DidNotBoot(f"Nothing after {seconds:.0f} s. {_last(said)}")
            if ready.select(left):
                heard = os.read(console.fileno(), 65536)
                if not heard:
                    raise DidNotBoot(f"QEMU ended with {machine.wait()}. {_last(said)}")
                said += heard
    return bytes(said)


@contextmanager
def _running(argv: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    machine = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *argv],
        stdin=subprocess.PIPE,  # held open and silent: an end of input would reach the guest
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with machine:
        try:
            yield machine
        finally:
            machine.kill()


def _last(said: bytearray) -> str:
    return "The console's last words: " + repr(bytes(said[-600:]))
