"""A snapshot's own page, its files and its README, against a real Swift."""

from __future__ import annotations

import hashlib
import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest
import requests

from portal.domain.lifecycle import SnapshotState
from portal.domain.names import image_file
from portal.records import Snapshot, SnapshotFile
from portal.records.file import FileRole
from portal.services.stores import open_store_of
from portal.stores.config import StoreConfig
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import SwiftEndpoint
    from tests.functional.pages.scene import Scene, Tenant

README = "Snapshot of web-1\n<script>alert(1)</script> & more\n"
IMAGE = b"not a disk, but bytes\n" * 100


def _config(endpoint: SwiftEndpoint) -> StoreConfig:
    return StoreConfig(
        driver="swift", auth_url=endpoint.auth_url, user=endpoint.user, key=endpoint.key
    )


def _stored(scene: Scene, tenant: Tenant, label: str) -> int:
    """A complete snapshot with these bytes in the store."""
    number = scene.take(tenant)
    lease = scene.claim(number)
    with scene.runtime.work() as work:
        snapshot = work.session.get_one(Snapshot, number)
        store = open_store_of(work, snapshot.store)
        for role, name, content in (
            (FileRole.IMAGE, label, IMAGE),
            (FileRole.README, "README.txt", README.encode()),
        ):
            path = f"{snapshot.folder}/{name}"
            md5 = hashlib.md5(content).hexdigest()
            store.put(path, content, md5=md5, content_type="application/octet-stream")
            work.session.add(
                SnapshotFile(
                    snapshot_id=number,
                    role=role,
                    name=path,
                    size=len(content),
                    md5=md5,
                    sha256=hashlib.sha256(content).hexdigest(),
                    source_size=4096 if role is FileRole.IMAGE else None,
                    stored=True,
                )
            )
        store.close()
        work.commit()
    scene.end(number, lease, SnapshotState.DONE, files=False)
    return number


@pytest.mark.parametrize("name", ["web-1", "a/b \"c\" 'd' 日本 #?&%"])
def test_the_file_comes_from_the_store_under_its_name(
    scene: Scene, visit: Callable[..., Visitor], swift_endpoint: SwiftEndpoint, name: str
) -> None:
    tenant = scene.tenant("Acme", server_name=name, config=_config(swift_endpoint))
    label = image_file(name, ".raw.gz", disk=1, disks=1)
    number = _stored(scene, tenant, label)
    visitor = visit(scene, tenant)
    page = visitor.get(f"/snapshots/{number}")
    assert hashlib.md5(IMAGE).hexdigest() in words(page)
    assert hashlib.sha256(IMAGE).hexdigest() in words(page)
    links = [unescape(link) for link in re.findall(r'href="([^"]+/files/[^"]+)"', page.text)]
    address = next(link for link in links if unquote(link).endswith(f"/files/{label}"))
    answer = visitor.get(address)
    assert answer.status_code == 303
    download = requests.get(answer.location, timeout=10)
    assert download.content == IMAGE
    assert "attachment" in download.headers["Content-Disposition"]
    told = download.headers["Content-Disposition"]
    assert label in told or quote(label) in told


def test_the_readme_is_text_and_nothing_else(
    scene: Scene, visit: Callable[..., Visitor], swift_endpoint: SwiftEndpoint
) -> None:
    tenant = scene.tenant("Acme", config=_config(swift_endpoint))
    number = _stored(scene, tenant, "web-1.raw.gz")
    visitor = visit(scene, tenant)
    page = visitor.get(f"/snapshots/{number}/readme")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page.text
    fragment = visitor.get(f"/snapshots/{number}/readme", htmx=True)
    assert "<html" not in fragment.text
    assert "Snapshot of web-1" in fragment.text


def test_a_store_that_is_away_is_said_in_one_sentence(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, SnapshotState.DONE)
    visitor = visit(scene, tenant)
    page = visitor.get(f"/snapshots/{number}/readme")
    assert page.status_code == 502
    assert "The store did not do that" in words(page)
    assert "Traceback" not in page.text
    # The page about it is none the worse: the notice stands where the README would.
    fragment = visitor.get(f"/snapshots/{number}/readme", htmx=True)
    assert fragment.status_code == 200
    assert "notice-bad" in fragment.text


def test_a_store_that_never_answers_does_not_hold_a_page_up() -> None:
    patient = StoreConfig(driver="swift", auth_url="https://store.example", user="u", key="k")
    hurried = patient.hurried()
    assert hurried.connect_timeout + hurried.read_timeout + hurried.retry_seconds <= 25
    assert hurried.identity == patient.identity


def test_files_that_are_not_there(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, SnapshotState.DONE)
    visitor = visit(scene, tenant)
    for label in ("other.raw.gz", "..", "%2e%2e%2fREADME.txt", "README.txt/", "%00"):
        assert visitor.get(f"/snapshots/{number}/files/{label}").status_code == 404, label


@pytest.mark.parametrize(
    "state", [SnapshotState.FAILED, SnapshotState.BROKEN, SnapshotState.CANCELLED]
)
def test_what_is_not_complete_is_not_downloaded(
    scene: Scene, visit: Callable[..., Visitor], state: SnapshotState
) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, SnapshotState.DONE)
    with scene.runtime.work() as work:
        work.session.get_one(Snapshot, number).state = state
        work.commit()
    visitor = visit(scene, tenant)
    answer = visitor.get(f"/snapshots/{number}/files/README.txt")
    assert answer.status_code == 409
    assert "Only a finished snapshot can be downloaded." in words(answer)
    assert "Download" not in words(visitor.get(f"/snapshots/{number}"))


def test_a_broken_one_says_what_that_means(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, SnapshotState.BROKEN, error="The worker stopped.")
    page = words(visit(scene, tenant).get(f"/snapshots/{number}"))
    assert "The worker stopped." in page
    assert "A broken snapshot is never used to re-image; it can be deleted safely." in page


def test_how_to_check_and_unpack(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme", server_name="it's me")
    number = scene.settled(tenant, SnapshotState.DONE)
    page = visit(scene, tenant).get(f"/snapshots/{number}")
    told = words(page)
    assert "md5sum --check" in told
    # The name is quoted for a shell.
    assert "gunzip --keep 'it'\"'\"'s me.raw.gz'" in told
    assert tenant.email in told


def test_its_own_page_reloads_when_the_state_changes(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    number = scene.take(tenant)
    visitor = visit(scene, tenant)
    address = f"/snapshots/{number}/progress?on=page&seen=queued.0"
    assert "HX-Refresh" not in visitor.get(address, htmx=True).headers
    lease = scene.claim(number)
    assert visitor.get(address, htmx=True).headers["HX-Refresh"] == "true"
    scene.end(number, lease, SnapshotState.BROKEN, error="It stopped.")
    visitor.post(f"/snapshots/{number}/delete")
    scene.end(number, scene.claim(number), SnapshotState.GONE)
    answer = visitor.get(f"/snapshots/{number}/progress?on=page&seen=deleting.0", htmx=True)
    assert answer.headers["HX-Redirect"] == f"/servers/{tenant.server}/snapshots"
