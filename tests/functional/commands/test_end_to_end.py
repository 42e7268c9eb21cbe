"""A snapshot by command: taken by the real worker, downloaded, compared, deleted."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import urllib.request
from typing import TYPE_CHECKING

from tests.disks import linux

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Snapport, SwiftEndpoint


def _customer(portal_server: Snapport, swift: SwiftEndpoint, name: str, disk: Path) -> None:
    for arguments in (
        ("accounts", "add", name),
        ("servers", "add", f"{name} 1/2", "--account", name, "--disk", f"file:{disk}"),
        (
            *("stores", "add", "main", "--account", name, "--key-stdin"),
            *("--auth-url", swift.auth_url, "--user", swift.user),
        ),
    ):
        ended = portal_server.flask(*arguments, stdin=swift.key + "\n")
        assert ended.returncode == 0, ended.stderr


def test_a_snapshot_by_command(
    portal_server: Snapport, swift_endpoint: SwiftEndpoint, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.raw"
    content = random.Random(1).randbytes(5 * 2**20) + bytes(20 * 2**20) + b"the end"
    disk.write_bytes(content.ljust(30 * 2**20, b"\0"))
    _customer(portal_server, swift_endpoint, "by command", disk)
    take = ("snapshots", "take", "by command 1/2", "--store", "main", "--wait", "--json")
    taken = portal_server.flask(*take)
    assert taken.returncode == 0, taken.stderr
    snapshot = json.loads(taken.stdout)
    assert snapshot["state"] == "done"
    assert snapshot["sent"] > 5 * 2**20
    number = str(snapshot["id"])

    shown = json.loads(portal_server.flask("snapshots", "show", number, "--json").stdout)
    image, *_ = shown["files"]
    assert image["name"] == "by command 1_2.raw.gz"
    url = portal_server.flask("snapshots", "url", number).stdout.strip()
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert "by command 1_2.raw.gz" in answer.headers["Content-Disposition"]
        downloaded = answer.read()
    assert hashlib.md5(downloaded).hexdigest() == image["md5"]
    assert hashlib.sha256(downloaded).hexdigest() == image["sha256"]
    assert gzip.decompress(downloaded) == disk.read_bytes()
    assert image["md5"] in portal_server.flask("snapshots", "readme", number).stdout

    again = json.loads(portal_server.flask(*take).stdout)
    assert again["sent"] == 0
    assert again["reused"] > 0

    deleted = portal_server.flask("snapshots", "delete", number, "--wait")
    assert deleted.stdout == f"Snapshot {number} is deleted.\n", deleted.stderr
    other = portal_server.flask("snapshots", "url", str(again["id"])).stdout.strip()
    with urllib.request.urlopen(other, timeout=60) as answer:
        assert gzip.decompress(answer.read()) == disk.read_bytes()


def test_a_disk_that_is_not_there(
    portal_server: Snapport, swift_endpoint: SwiftEndpoint, tmp_path: Path
) -> None:
    _customer(portal_server, swift_endpoint, "without disk", tmp_path / "missing.raw")
    taken = portal_server.flask(
        "snapshots", "take", "without disk 1/2", "--store", "main", "--wait"
    )
    assert taken.returncode == 1
    assert taken.stdout == ""
    last = taken.stderr.splitlines()[-1]
    assert last.startswith("Error: Snapshot ")
    assert " is failed: " in last


def test_the_doctor_finds_nothing_wrong(
    portal_server: Snapport, swift_endpoint: SwiftEndpoint, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(b"x" * 4096)
    _customer(portal_server, swift_endpoint, "examined", disk)
    found = json.loads(portal_server.flask("doctor", "--json").stdout)
    states = {finding["what"]: finding["ok"] for finding in found}
    assert states["redis"]
    assert states["database"]
    assert states["host local"]
    assert any(ok for what, ok in states.items() if what.endswith("examined/main"))


def test_what_is_on_a_disk_by_command(
    portal_server: Snapport, swift_endpoint: SwiftEndpoint, tmp_path: Path
) -> None:
    """Looked at by the real worker: what is understood, and what is known by its name alone."""
    disk = tmp_path / "disk.raw"
    table = "label: gpt\nname=root,size=64M\n" + "size=120M\n" + "size=16M\n" * 4
    parts = linux.partitioned(disk, 300 * linux.MIB, table)
    with linux.loop(disk, *parts[0]) as device:
        linux.make_file_system("ext4", device)
    with linux.loop(disk, *parts[1]) as device:
        linux.make_file_system("btrfs", device)
    signs = ((2, 0, b"LUKS\xba\xbe"), (3, 3, b"-FVE-FS-"), (4, 4096, b"\xfc\x4e\x2b\xa9"))
    with disk.open("r+b") as file:
        for index, at, sign in signs:
            file.seek(parts[index][0] + at)
            file.write(sign)
    _customer(portal_server, swift_endpoint, "inspected", disk)
    [found] = json.loads(
        portal_server.flask("servers", "inspect", "inspected 1/2", "--json").stdout
    )
    assert found["layout"]["table"] == "gpt"
    known = [
        (part["number"], part["start"], part["length"], part["file_system"])
        for part in found["layout"]["partitions"]
    ]
    names = ("ext4", "btrfs", "LUKS", "BitLocker", "Linux RAID", "")
    assert known == [
        (number, start, length, name)
        for number, ((start, length), name) in enumerate(zip(parts, names, strict=True), start=1)
    ]
    root, *others = found["layout"]["partitions"]
    assert (root["label"], root["reason"]) == ("root", "")
    assert 0 < root["used"] < root["length"]
    assert all(part["reason"] and part["used"] is None for part in others)
    told = portal_server.flask("servers", "inspect", "inspected 1/2", "--last").stdout
    lines = told.splitlines()
    assert lines[0].startswith("Disk 1: 300 MiB, GPT")
    assert re.search(r"^ *1 +\S+ +64 MiB +ext4 +root +\S+ MiB +left out$", told, re.MULTILINE)
    assert "It is encrypted with LUKS, so nobody can tell what is free." in told
    kinds = portal_server.flask("snapshots", "kinds", "inspected 1/2", "--json").stdout
    reasons = {offer["kind"]: offer["reason"] for offer in json.loads(kinds)}
    assert (reasons["raw"], reasons["tar"]) == (None, None)
    assert reasons["ntfsclone"] == "There is no NTFS volume on the server's disks."
