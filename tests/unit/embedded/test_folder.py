from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from portal.domain.errors import Conflict
from portal.embedded.folder import DataFolder, port_is_free

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.make()
    return folder


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def test_is_closed_to_others(folder: DataFolder) -> None:
    folder.note({"redis_url": "unix://:secret@/x"})
    folder.secret("redis")
    for path in (folder.path, folder.path / "secrets"):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in (folder.notes_path, folder.path / "secrets/redis"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_lock_is_exclusive_and_names_its_holder(folder: DataFolder) -> None:
    held = folder.lock()
    with pytest.raises(Conflict, match=rf"already running .*process {os.getpid()}"):
        folder.lock()
    os.close(held)
    os.close(folder.lock())


def test_lock_waits_for_the_last_processes_of_an_instance_that_died(folder: DataFolder) -> None:
    held = folder.lock()
    # Its holder is gone, and a child of it lives on for a moment with the same descriptor.
    (folder.path / "lock").write_text("4194999\n")
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(0.5)"], pass_fds=(held,)
    )
    os.close(held)
    again = folder.lock()
    assert child.wait() == 0
    os.close(again)


def test_secrets_stay_and_differ(folder: DataFolder) -> None:
    first = folder.secret("a")
    assert DataFolder(folder.path).secret("a") == first
    assert folder.secret("b") != first


def test_ports_are_free_distinct_and_kept(folder: DataFolder) -> None:
    first = folder.ports("one", "two")
    more = folder.ports("three")
    assert len({*first.values(), *more.values()}) == 3
    assert all(port_is_free("127.0.0.1", port) for port in first.values())
    assert DataFolder(folder.path).ports("one", "two") == first


def test_only_a_port_that_is_taken_moves(folder: DataFolder) -> None:
    before = folder.ports("one", "two")
    with closing(_listen(before["one"])):
        after = folder.ports("one", "two")
    assert after["one"] not in before.values()
    assert after["two"] == before["two"]


def test_port_in_use_is_not_free() -> None:
    with closing(_listen(0)) as listener:
        port = listener.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
    assert port_is_free("127.0.0.1", port)


def test_notes_are_added_to(folder: DataFolder) -> None:
    folder.note({"a": 1})
    folder.note({"b": 2})
    assert folder.notes() == {"a": 1, "b": 2}


def test_damaged_notes_are_one_sentence(folder: DataFolder) -> None:
    folder.notes_path.write_text("{")
    with pytest.raises(Conflict, match="damaged"):
        folder.notes()
