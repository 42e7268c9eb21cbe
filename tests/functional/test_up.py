"""`flask up`: starts everything, stops everything, and finds it all again."""

from __future__ import annotations

import re
import signal
import socket
import time
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import psutil
import pytest

from portal.embedded import demo_disks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Snapport

NAMES = {"redis", "swift", "worker", "reaper", "portal"}


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Whatever runs with this data folder in its environment, command line or lock."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if str(folder) in " ".join(process.cmdline()) or (
                process.environ().get("SNAPPORT_DATA") == str(folder)
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _wait_none(folder: Path, seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while (left := _processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _answer(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.status, answer.read().decode()


def _services(snapport: Snapport) -> dict[str, psutil.Process]:
    """The supervisor's own children, by what they are."""
    words = {
        "redis": "redis-server",
        "swift": "portal.embedded.swift",
        "worker": "worker",
        "reaper": "reaper",
        "portal": "gunicorn",
    }
    assert snapport.process
    found = {}
    for child in psutil.Process(snapport.process.pid).children():
        line = " ".join(child.cmdline())
        for name, word in words.items():
            if f"-m {word}" in line or word in line.split()[0] or line.endswith(word):
                found[name] = child
    return found


def test_everything_is_up_then_everything_is_gone(snapport: Snapport) -> None:
    process = snapport.start()
    said = snapport.terminal
    status, page = _answer(snapport.url)
    assert status == 200
    assert "<form" in page
    assert set(_services(snapport)) == NAMES
    assert f"Snapport is at {snapport.url}" in said
    assert re.search(r"Sign in as demo@snapport\.example with the password \S{10,}", said)

    process.process.send_signal(signal.SIGINT)
    assert process.process.wait(60) == 0
    assert _wait_none(snapport.folder, 5) == []
    stopped = re.findall(r"  (\w+) +stopped", snapport.terminal)
    assert stopped == ["portal", "reaper", "worker", "swift", "redis"]


@pytest.fixture(scope="module")
def made_disks(session_folder: Path) -> Path:
    """The demonstration's disks, made once: tests link them into their data folders."""
    folder = session_folder / "demonstration-disks"
    for image in (demo_disks.WEB, demo_disks.OFFICE):
        demo_disks.make(image, folder)
    return folder


@pytest.fixture
def with_disks(snapport: Snapport, made_disks: Path) -> Snapport:
    (snapport.folder / "disks").mkdir()
    for disk in made_disks.iterdir():
        (snapport.folder / "disks" / disk.name).hardlink_to(disk)
    return snapport


def test_a_second_run_finds_all_data_again(with_disks: Snapport) -> None:
    snapport = with_disks
    snapport.start()
    sign_in = re.search(r"Sign in as .*", snapport.terminal)
    before = snapport.notes
    servers = snapport.flask("servers", "list", "--json")
    disks = {path: path.stat().st_mtime_ns for path in (snapport.folder / "disks").iterdir()}
    assert servers.returncode == 0, servers.stderr
    assert "web-1" in servers.stdout
    assert "office-1" in servers.stdout
    snapport.stop()

    snapport.start()
    again = re.search(r"Sign in as .*", snapport.terminal)
    assert sign_in
    assert again
    assert again[0] == sign_in[0]
    assert snapport.notes == before
    assert snapport.flask("servers", "list", "--json").stdout == servers.stdout
    assert {
        path: path.stat().st_mtime_ns for path in (snapport.folder / "disks").iterdir()
    } == disks


def test_the_store_follows_swift_to_another_port(with_disks: Snapport) -> None:
    snapport = with_disks
    snapport.start()
    port = snapport.notes["ports"]["swift_proxy"]  # type: ignore[index]
    snapport.stop()
    with closing(socket.socket()) as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        snapport.start()
        moved = snapport.notes["ports"]["swift_proxy"]  # type: ignore[index]
        assert moved != port
        stores = snapport.flask("stores", "list", "--json").stdout
        assert f":{moved}/" in stores
        assert f":{port}/" not in stores


def test_a_second_instance_on_the_folder_is_refused(snapport: Snapport, free_port: int) -> None:
    snapport.start("--services-only")
    snapport.port = free_port
    second = snapport.flask("up")
    assert second.returncode == 4  # a conflict
    assert second.stdout == ""
    lines = second.stderr.splitlines()
    assert len(lines) == 1
    assert "already running" in lines[0]
    assert str(snapport.folder) in lines[0]


def test_a_port_in_use_is_said_before_anything_starts(snapport: Snapport) -> None:
    with closing(socket.socket()) as squatter:
        squatter.bind(("127.0.0.1", snapport.port))
        squatter.listen()
        refused = snapport.flask("up")
    assert refused.returncode == 4
    assert refused.stderr.splitlines() == [
        f"Error: Port {snapport.port} is in use: set SNAPPORT_PORT to another and start again."
    ]
    assert refused.stdout == ""
    assert not (snapport.folder / "embedded.json").exists()


def test_two_copies_run_beside_each_other(snapport: Snapport, portal_server: Snapport) -> None:
    snapport.start("--no-demo")
    assert _answer(snapport.url)[0] == _answer(portal_server.url)[0] == 200
    ours, theirs = snapport.notes["ports"], portal_server.notes["ports"]
    assert not set(ours.values()) & set(theirs.values())  # type: ignore[attr-defined]
    assert snapport.flask("accounts", "add", "Only here").returncode == 0
    assert "Only here" in snapport.flask("accounts", "list", "--json").stdout
    assert "Only here" not in portal_server.flask("accounts", "list", "--json").stdout


def test_sigkill_of_the_supervisor_ends_its_children(snapport: Snapport) -> None:
    process = snapport.start("--no-demo")
    assert len(_processes_of(snapport.folder)) > len(NAMES)
    process.process.send_signal(signal.SIGKILL)
    process.process.wait()
    assert _wait_none(snapport.folder, 20) == []
    snapport.start("--no-demo")
    assert _answer(snapport.url)[0] == 200


@pytest.fixture(scope="module")
def kept_running(new_snapport: Callable[..., Snapport]) -> Iterator[Snapport]:
    """One for all tests that kill a part of it."""
    instance = new_snapport()
    instance.start("--no-demo")
    yield instance
    instance.stop()


@pytest.mark.parametrize("name", ["redis", "swift", "worker", "reaper", "portal"])
def test_a_service_that_dies_is_started_again(kept_running: Snapport, name: str) -> None:
    snapport = kept_running
    killed = _services(snapport)[name]
    killed.kill()
    deadline = time.monotonic() + 90
    while f"{name:<9} started again" not in snapport.terminal and time.monotonic() < deadline:
        time.sleep(0.05)
    said = snapport.terminal
    assert re.search(rf"{name} +ended by itself \(by SIGKILL\): .*starting it again in 1 s", said)
    assert f"{name:<9} started again" in said
    while time.monotonic() < deadline:
        try:
            if _answer(snapport.url)[0] == 200:
                break
        except OSError:
            time.sleep(0.1)
    assert _answer(snapport.url)[0] == 200
    assert _services(snapport)[name].pid != killed.pid


def test_services_only_brings_up_redis_and_swift(snapport: Snapport) -> None:
    snapport.start("--services-only")
    assert set(_services(snapport)) == {"redis", "swift"}
    assert {"redis_url", "swift_auth_url", "swift_user", "swift_key"} <= set(snapport.notes)
