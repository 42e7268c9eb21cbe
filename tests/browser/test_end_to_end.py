"""The whole of Snapport from a browser: taken by the real worker, read, downloaded, unpacked."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.functional.pages.scene import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.conftest import Snapport, SwiftEndpoint

ACCOUNT = "From a browser"
EMAIL = "browser@example.org"
SERVER = "web 1/2"


def _customer(portal_server: Snapport, swift: SwiftEndpoint, disk: Path) -> None:
    for stdin, arguments in (
        ("", ("accounts", "add", ACCOUNT)),
        (PASSWORD, ("users", "add", EMAIL, "--account", ACCOUNT, "--password-stdin")),
        ("", ("servers", "add", SERVER, "--account", ACCOUNT, "--disk", f"file:{disk}")),
        (
            swift.key,
            (
                *("stores", "add", "Memstore", "--account", ACCOUNT, "--key-stdin"),
                *("--auth-url", swift.auth_url, "--user", swift.user),
            ),
        ),
    ):
        ended = portal_server.flask(*arguments, stdin=stdin + "\n")
        assert ended.returncode == 0, ended.stderr


def test_a_snapshot_from_a_browser(
    portal_server: Snapport, swift_endpoint: SwiftEndpoint, page: Page, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(random.Random(2).randbytes(9 * 2**20).ljust(40 * 2**20, b"\0"))
    _customer(portal_server, swift_endpoint, disk)
    page.goto(portal_server.url)
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name=SERVER).click()
    expect(page.get_by_text("Ready for snapshots")).to_be_visible()
    page.get_by_role("link", name="Server snapshots").click()
    page.get_by_role("button", name="Take snapshot").click()
    line = page.locator("#history-lines tr")
    expect(line).to_contain_text("Done", timeout=60_000)

    line.get_by_role("link", name=re.compile(r"^\d")).click()
    expect(page.get_by_role("region", name="Text of README.txt")).to_contain_text(
        "Snapshot of web 1/2"
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Download web 1_2.raw.gz").click()
    assert download.value.suggested_filename == "web 1_2.raw.gz"
    image = tmp_path / "image.raw.gz"
    download.value.save_as(image)
    md5 = hashlib.md5(image.read_bytes()).hexdigest()
    expect(page.locator(".sums").first).to_contain_text(md5)
    expect(page.get_by_role("region", name="Text of README.txt")).to_contain_text(md5)
    assert gzip.decompress(image.read_bytes()) == disk.read_bytes()

    page.get_by_role("link", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete snapshot").click()
    expect(page.get_by_text("No snapshots yet")).to_be_visible(timeout=60_000)
