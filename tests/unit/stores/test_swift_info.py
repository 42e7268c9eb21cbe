"""What a service tells of itself is foreign."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.stores.interface import StoreLimits
from portal.stores.swift_info import SwiftInfo, info_of
from portal.stores.swift_lane import Answer

GOOD = {
    "swift": {"max_file_size": 1000, "container_listing_limit": 20},
    "slo": {"max_manifest_segments": 30},
    "tempurl": {"allowed_digests": ["sha512", "sha256"]},
    "bulk_delete": {"max_deletes_per_request": 40},
}


def read(told: object) -> SwiftInfo:
    return info_of(Answer(200, {}, json.dumps(told).encode()))


def test_it_is_read():
    assert read(GOOD) == SwiftInfo(
        StoreLimits(manifest_segments=30, object_bytes=1000, listing=20, temp_url=True),
        bulk_deletes=40,
        digests=("sha512", "sha256"),
    )


def test_what_is_not_there_is_not_offered():
    info = read({"swift": {}})
    assert info.limits.manifest_segments == 0
    assert not info.limits.temp_url
    assert info.digests == ()
    assert info.bulk_deletes == 0


@pytest.mark.parametrize("bad", [-1, 0, True, "5", None, 1.5, [], {}])
def test_nonsense_leaves_the_default(bad):
    info = read({"swift": {"max_file_size": bad}, "slo": {"max_manifest_segments": bad}})
    assert info.limits == StoreLimits(temp_url=False)
    assert read({"swift": {}, "slo": bad, "tempurl": bad, "bulk_delete": bad}).bulk_deletes == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"{}", b"[" * 99999, b"\xff"])
def test_no_info_is_the_defaults(body):
    assert info_of(Answer(200, {}, body)) == SwiftInfo(StoreLimits())
    assert info_of(Answer(404, {}, json.dumps(GOOD).encode())) == SwiftInfo(StoreLimits())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from([*GOOD, "allowed_digests", "max_manifest_segments", "x"]), inner
            )
        ),
    )
)
def test_anything_is_survived(told):
    limits = read(told).limits
    assert limits.manifest_segments >= 0
    assert limits.object_bytes > 0
    assert limits.listing > 0
