"""What the form offers of each server: kinds that fit, what they cost, what a tar leaves out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from portal.domain import exclusions
from portal.domain.layout import Layout, Partition
from portal.records import Server, Snapshot
from portal.records.declarative import now
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.pages.scene import Scene, Tenant

GIB = 1024**3


def layout(system: str) -> Layout:
    part = Partition(number=1, start=0, length=30 * GIB, file_system=system, used=8 * GIB)
    return Layout(size=30 * GIB, to_read=9 * GIB, table="mbr", partitions=(part,))


def looked_at(scene: Scene, tenant: Tenant, operating_system: str, found: Layout | None) -> None:
    with scene.runtime.work() as work:
        server = work.session.get_one(Server, tenant.server)
        server.operating_system = operating_system
        [disk] = server.disks
        if found is not None:
            disk.layout, disk.size, disk.inspected_at = found.as_text(), found.size, now()
        work.commit()


def offered(page: str) -> dict[str, bool]:
    """Each kind's radio button, and whether it can be chosen."""
    radios = re.findall(r'<input type="radio" name="kind" value="(\w+)" required([^>]*)>', page)
    return {kind: "disabled" not in rest for kind, rest in radios}


@pytest.mark.parametrize(
    ("system", "found", "can", "cannot", "sentence"),
    [
        ("Debian 12", "ext4", {"raw", "tar"}, {"ntfsclone"}, "ntfsclone snapshots are for Windows"),
        ("Windows 10", "NTFS", {"raw", "ntfsclone"}, {"tar"}, "Tar snapshots are for Linux"),
        ("", "XFS", {"raw", "tar"}, {"ntfsclone"}, "There is no NTFS volume"),
        ("", None, {"raw", "tar", "ntfsclone"}, set(), "is not known yet: look at the disks"),
    ],
)
def test_what_fits_the_server(
    scene: Scene,
    visit: Callable[..., Visitor],
    system: str,
    found: str | None,
    can: set[str],
    cannot: set[str],
    sentence: str,
) -> None:
    tenant = scene.tenant("Acme")
    looked_at(scene, tenant, system, layout(found) if found else None)
    answer = visit(scene, tenant).get(f"/servers/{tenant.server}/snapshots")
    kinds = offered(answer.text)
    assert {kind for kind, allowed in kinds.items() if allowed} >= can
    assert {kind for kind, allowed in kinds.items() if not allowed} == cannot
    assert sentence in words(answer)
    # The oldest of the methods is said to be just that.
    assert "The older method" in words(answer)


def test_size_and_time_are_told(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    looked_at(scene, tenant, "Debian 12", layout("ext4"))
    page = words(visit(scene, tenant).get(f"/servers/{tenant.server}/snapshots"))
    assert "At most 9 GiB; how long is not known yet" in page
    assert "At most 8 GiB; how long is not known yet" in page


def test_what_a_tar_leaves_out_is_shown_and_can_be_changed(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    looked_at(scene, tenant, "Debian 12", layout("ext4"))
    visitor = visit(scene, tenant)
    page = f"/servers/{tenant.server}/snapshots"
    shown = re.search(r"<textarea[^>]*>\n([^<]*)</textarea>", visitor.get(page).text)
    assert shown is not None
    assert tuple(shown[1].splitlines()) == exclusions.SUGGESTED
    refused = visitor.post(page, store=str(tenant.store), kind="tar", exclude="/srv\nno slash")
    assert refused.status_code == 422
    assert "“no slash” does not begin with a slash." in words(refused)
    assert "/srv\nno slash</textarea>" in refused.text
    taken = visitor.post(
        page, store=str(tenant.store), kind="tar", gzip="yes", exclude="/srv/cache\n\n/tmp\n"
    )
    assert taken.status_code == 303
    with scene.runtime.work() as work:
        choices = work.session.get_one(Snapshot, 1).choices
    assert (choices.gzip, choices.exclude) == (True, ("/srv/cache", "/tmp"))


def test_a_kind_that_does_not_fit_is_refused(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    looked_at(scene, tenant, "Debian 12", layout("ext4"))
    answer = visit(scene, tenant).post(
        f"/servers/{tenant.server}/snapshots", store=str(tenant.store), kind="ntfsclone"
    )
    assert answer.status_code == 422
    assert "Take a raw snapshot instead." in words(answer)
    assert scene.job(1) is None
