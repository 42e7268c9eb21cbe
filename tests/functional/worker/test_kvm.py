"""Whether KVM works here, as a machine that was booted tells."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from worker.filesystems.kvm import works

if TYPE_CHECKING:
    from worker.heartbeat import Heartbeat

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
KVM = Path("/dev/kvm").exists()


class Silent:
    """A heartbeat of no job."""

    def check(self) -> None:
        """Goes on."""


def boots() -> bool:
    """Whether libguestfs's own machine starts, left to itself."""
    ended = subprocess.run(
        ["guestfish", "--ro", "--format=raw", "--add", "/dev/null", "run"],
        env={**os.environ, "LIBGUESTFS_BACKEND": "direct"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    return ended.returncode == 0


@pytest.fixture
def heartbeat() -> Heartbeat:
    return Silent()  # type: ignore[return-value]


def test_the_answer_is_what_a_machine_tells_and_is_noted(
    tmp_path: Path, heartbeat: Heartbeat
) -> None:
    answer = works(tmp_path, tmp_path, heartbeat)
    assert answer == (KVM and boots())
    if KVM:
        assert (tmp_path / "kvm").read_text() == f"{BOOT} {'yes' if answer else 'no'}"


@pytest.mark.skipif(not KVM, reason="without the device nothing is noted")
def test_what_is_noted_holds_until_the_host_boots_again(
    tmp_path: Path, heartbeat: Heartbeat
) -> None:
    truth = boots()
    other = "no" if truth else "yes"
    (tmp_path / "kvm").write_text(f"{BOOT} {other}")
    assert works(tmp_path, tmp_path, heartbeat) != truth
    (tmp_path / "kvm").write_text(f"another-boot {other}")
    assert works(tmp_path, tmp_path, heartbeat) == truth
