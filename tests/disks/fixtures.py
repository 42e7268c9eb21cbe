"""Fixtures for disks; `tests/conftest.py` names this module in `pytest_plugins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.disks import debian

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def debian_disk() -> Path:
    """A bootable Debian, 4 GiB, kept from one run to the next: read it, never write to it."""
    return debian.debian_disk()
