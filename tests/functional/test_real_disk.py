"""A real disk, all the way round: through the portal into Swift, back by its link, and it boots.

The disk is a Debian made with debootstrap; the browser is Chromium; what unpacks and compares is
the system's own gunzip and cmp, by the commands that README.txt tells a customer to use.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import snapcore
from playwright.sync_api import expect

from tests.interop.boot import boot_to_login

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Download, Page

    from tests.conftest import Snapport, SwiftEndpoint

EMAIL, PASSWORD = "ann@example.com", "a password that nobody guesses"
SERVER = "real-disk"
SNAPSHOT_MS = 300_000

# The first run makes the disk, and without KVM booting takes up to minutes.
pytestmark = pytest.mark.timeout(1500)


def test_the_stream_is_the_disk_in_one_gzip_file(debian_disk: Path, tmp_path: Path) -> None:
    file = tmp_path / "disk.raw.gz"
    md5 = hashlib.md5()
    with (
        snapcore.Disk(debian_disk) as disk,
        disk.plan(skip_unused=False).raw_gzip() as stream,
        file.open("wb") as writing,
    ):
        for part in stream:
            writing.write(part)
            md5.update(part)
        summary = stream.finish()
    assert (summary.size, summary.md5) == (file.stat().st_size, md5.hexdigest())
    assert summary.bytes_read < summary.source_size
    _assert_unpacks_to(file, debian_disk)


def test_the_parts_do_not_depend_on_when_they_are_taken(debian_disk: Path) -> None:
    """What would send an unchanged disk again: a byte that depends on threads and their timing."""

    def hashes(pause: float) -> list[str]:
        found = []
        with snapcore.Disk(debian_disk) as disk, disk.plan().raw_gzip() as stream:
            for part in stream:
                found.append(part.sha256)
                time.sleep(pause)
        return found

    first = hashes(0.0)
    assert all(hashes(pause) == first for pause in (0.005, 0.02, 0.04, 0.0))


def test_without_its_unused_space_it_is_sound_and_boots(debian_disk: Path, tmp_path: Path) -> None:
    file, restored, volume = (tmp_path / name for name in ("disk.raw.gz", "disk.raw", "volume"))
    with (
        snapcore.Disk(debian_disk) as disk,
        (plan := disk.plan(skip_unused=True)).raw_gzip() as stream,
        file.open("wb") as writing,
    ):
        for part in stream:
            writing.write(part)
    [partition] = plan.partitions
    assert (partition.file_system, partition.reason) == ("ext4", None)
    subprocess.run(
        ["bash", "-euc", f"set -o pipefail; gunzip -c {file} | dd conv=sparse bs=1M of={restored}"],
        check=True,
    )
    subprocess.run(
        ["dd", "conv=sparse", "bs=1M", "iflag=skip_bytes,count_bytes", f"skip={partition.start}",
         f"count={partition.length}", f"if={restored}", f"of={volume}"],
        check=True,
    )  # fmt: skip
    subprocess.run(["truncate", f"--size={partition.length}", volume], check=True)
    subprocess.run(["e2fsck", "-fn", volume], check=True)
    assert boot_to_login(restored).endswith("snapport-debian login: ")


def test_a_snapshot_taken_in_the_browser_comes_back_and_boots(
    portal_server: Snapport,
    swift_endpoint: SwiftEndpoint,
    debian_disk: Path,
    page: Page,
    tmp_path: Path,
) -> None:
    _add_customer(portal_server, swift_endpoint, debian_disk)
    _sign_in(portal_server, page)
    _take_and_watch(page)

    page.get_by_role("rowheader").get_by_role("link").first.click()
    readme = page.locator("pre.readme")
    expect(readme).to_contain_text(f"{SERVER}.raw.gz")
    told = readme.inner_text()

    with page.expect_download(timeout=SNAPSHOT_MS) as downloading:
        page.get_by_role("link", name=f"Download {SERVER}.raw.gz").click()
    file = tmp_path / f"{SERVER}.raw.gz"
    _keep_download(downloading.value, file, swift_endpoint)

    assert f"size     {file.stat().st_size} bytes" in told
    assert f"MD5      {_digest(file, 'md5')}" in told
    assert f"SHA-256  {_digest(file, 'sha256')}" in told
    assert f"unpacks to {debian_disk.stat().st_size} bytes" in told

    unpack = next(line.strip() for line in told.splitlines() if "conv=sparse" in line)
    subprocess.run(["bash", "-euc", f"set -o pipefail; {unpack}"], cwd=tmp_path, check=True)
    restored = tmp_path / f"{SERVER}.raw"
    subprocess.run(["cmp", restored, debian_disk], check=True)
    assert boot_to_login(restored).endswith("snapport-debian login: ")


def _add_customer(portal: Snapport, swift: SwiftEndpoint, disk: Path) -> None:
    account = "Real Disk Ltd"
    for arguments, stdin in (
        (["accounts", "add", account], ""),
        (["users", "add", EMAIL, "--account", account, "--password-stdin"], PASSWORD),
        (
            [
                *("stores", "add", "memstore", "--account", account),
                *("--auth-url", swift.auth_url, "--user", swift.user, "--key-stdin"),
            ],
            swift.key,
        ),
        (
            [
                *("servers", "add", SERVER, "--account", account),
                *("--os", "Debian 12", "--disk", f"file:{disk}"),
            ],
            "",
        ),
    ):
        done = portal.flask(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr


def _sign_in(portal: Snapport, page: Page) -> None:
    page.goto(portal.url)
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("main").get_by_role("link", name=SERVER).click()
    page.get_by_role("link", name="Server snapshots").click()


def _take_and_watch(page: Page) -> None:
    """Click, and look on while the page brings itself from waiting to done.

    What it tells in between is tested with jobs that stand still: this one may end between
    two looks.
    """
    page.get_by_role("radio", name=re.compile("^Raw image")).check()
    page.get_by_role("checkbox", name="Every sector").check()
    page.get_by_role("button", name="Take snapshot").click()
    line = page.locator("[id^=snapshot-][role=row]")
    expect(line).to_have_count(1)
    page.evaluate("window.notReloaded = true")
    expect(line.locator(".step")).to_be_visible()
    expect(line.locator(".badge")).to_have_text("Done", timeout=SNAPSHOT_MS)
    assert page.evaluate("window.notReloaded")


def _keep_download(download: Download, file: Path, swift: SwiftEndpoint) -> None:
    assert download.suggested_filename == file.name
    assert download.url.startswith(swift.auth_url.removesuffix("auth/v1.0"))
    assert "temp_url_sig=" in download.url
    assert download.failure() is None
    download.save_as(file)
    download.delete()


def _assert_unpacks_to(file: Path, disk: Path) -> None:
    command = f"set -o pipefail; gunzip --stdout {file} | cmp - {disk}"
    subprocess.run(["bash", "-euc", command], check=True)


def _digest(file: Path, name: str) -> str:
    with file.open("rb") as reading:
        return hashlib.file_digest(reading, name).hexdigest()
