"""Manifests: pieces joined into one file."""

from __future__ import annotations

import hashlib
import random

import pytest

from portal.domain.errors import ObjectDamaged, ObjectMissing, StoreError
from portal.stores.interface import Segment, StoredObject
from portal.stores.rules import manifest_etag


def read(store, name, **span) -> bytes:
    return b"".join(store.get(name, **span))


def join(store, name, pieces) -> StoredObject:
    return store.put_manifest(name, pieces, content_type="application/gzip")


@pytest.fixture
def three(store, put_piece) -> tuple[bytes, list[Segment]]:
    """The bytes, and the pieces that make them."""
    chance = random.Random(3)
    bodies = [chance.randbytes(size) for size in (1_500_000, 1_200_000, 10)]
    return b"".join(bodies), [put_piece(f"p/ü {n}", body) for n, body in enumerate(bodies)]


def test_a_manifest_reads_as_one_file(store, three):
    data, pieces = three
    etag = hashlib.md5("".join(one.etag for one in pieces).encode()).hexdigest()
    whole = StoredObject("file", len(data), etag, is_manifest=True)
    assert join(store, "file", pieces) == whole
    assert store.head("file") == whole
    assert read(store, "file") == data
    assert store.manifest_segments("file") == pieces
    listed = {one.name: one for one in store.list()}
    assert listed["file"] == whole


def test_ranges_across_pieces(store, three):
    data, pieces = three
    join(store, "file", pieces)
    for start, length in [(0, 1), (1_499_999, 2), (1_499_990, 1_200_015), (2_700_000, None)]:
        end = len(data) if length is None else start + length
        assert read(store, "file", start=start, length=length) == data[start:end]
    with pytest.raises(ObjectDamaged, match="bytes, more were expected"):
        read(store, "file", start=10, length=len(data))


def test_manifests_nest(store, put_piece, three):
    data, pieces = three
    inner = join(store, "inner/1", pieces)
    tail = put_piece("tail", b"tail of it")
    nested = Segment(inner.name, inner.size, inner.etag, is_manifest=True)
    outer = join(store, "outer", [nested, tail, nested])
    joined = data + b"tail of it" + data
    assert outer.size == len(joined)
    assert outer.etag == manifest_etag([nested, tail, nested])
    assert read(store, "outer") == joined
    at = len(data) - 5
    assert read(store, "outer", start=at, length=20) == joined[at : at + 20]
    assert store.manifest_segments("outer") == [nested, tail, nested]


def test_the_same_piece_may_come_often(store, put_piece):
    # Over 1 MiB: Swift gives smaller pieces one a second after the first ten.
    piece = put_piece("zeros", bytes(1_100_000))
    join(store, "file", [piece] * 50)
    assert read(store, "file") == bytes(1_100_000 * 50)


def test_a_file_of_small_pieces_comes_slowly_but_whole(store, put_piece):
    piece = put_piece("small", bytes(4096))
    join(store, "file", [piece] * 13)
    assert read(store, "file") == bytes(4096 * 13)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"etag": "0" * 32}, ObjectDamaged, "checksum"),
        ({"size": 5}, ObjectDamaged, "size"),
        ({"name": "p/not there"}, ObjectMissing, "p/not there"),
    ],
)
def test_a_piece_that_is_not_as_told(store, three, change, error, says):
    _, pieces = three
    from dataclasses import replace

    wrong = [pieces[0], replace(pieces[1], **change), pieces[2]]
    with pytest.raises(error, match=says) as caught:
        join(store, "file", wrong)
    assert caught.value.permanent
    assert wrong[1].name in str(caught.value)
    assert store.head("file") is None


def test_a_refused_manifest_leaves_the_one_before(store, three):
    data, pieces = three
    join(store, "file", pieces)
    with pytest.raises(ObjectDamaged):
        join(store, "file", [Segment(pieces[0].name, pieces[0].size, "0" * 32)])
    assert read(store, "file") == data


def test_no_pieces_are_no_file(store):
    with pytest.raises(StoreError, match="no pieces"):
        join(store, "file", [])
    assert store.head("file") is None


def test_an_empty_piece_only_at_the_end(store, put_piece):
    full, empty = put_piece("full"), put_piece("empty", b"")
    with pytest.raises(StoreError, match="empty"):
        join(store, "file", [empty, full])
    join(store, "file", [full, empty])
    assert store.head("file").size == full.size


def test_a_thousand_pieces_and_not_one_more(store, put_piece):
    piece = put_piece("p", b"x" * 100)
    limit = store.limits().manifest_segments
    assert limit == 1000
    with pytest.raises(StoreError, match="1001 pieces, the store joins at most 1000"):
        join(store, "file", [piece] * (limit + 1))
    assert store.head("file") is None
    assert join(store, "file", [piece] * limit).size == 100 * limit


def test_a_piece_deleted_later(store, three):
    data, pieces = three
    join(store, "file", pieces)
    whole = store.head("file")
    store.delete(pieces[1].name)
    # The manifest stands as it was; only reading tells.
    assert store.head("file") == whole
    with pytest.raises(ObjectDamaged, match="missing") as caught:
        read(store, "file")
    assert pieces[1].name in str(caught.value)
    assert caught.value.permanent
    assert read(store, "file", length=pieces[0].size) == data[: pieces[0].size]


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_piece_changed_later(store, put, three, changed):
    _, pieces = three
    join(store, "file", pieces)
    put(pieces[changed].name, b"something else")
    before = sum(one.size for one in pieces[:changed])
    got: list[bytes] = []
    with pytest.raises(ObjectDamaged, match="not what it was") as caught:
        got.extend(store.get("file"))
    assert pieces[changed].name in str(caught.value)
    assert len(b"".join(got)) <= before


def test_a_piece_of_a_nested_manifest_deleted_later(store, three):
    _, pieces = three
    inner = join(store, "inner", pieces)
    join(store, "outer", [Segment("inner", inner.size, inner.etag, is_manifest=True)])
    store.delete(pieces[1].name)
    with pytest.raises(ObjectDamaged) as caught:
        read(store, "outer")
    assert pieces[1].name in str(caught.value)


def test_deleting_a_manifest_leaves_its_pieces(store, three):
    _, pieces = three
    join(store, "file", pieces)
    assert store.delete("file") is True
    join(store, "file", pieces)
    assert store.delete_many(["file"]) == 1
    assert [one.name for one in store.list()] == sorted(piece.name for piece in pieces)


def test_pieces_of_a_plain_object(store, put):
    put("plain")
    with pytest.raises(StoreError, match="not joined"):
        store.manifest_segments("plain")


def test_what_manifest_segments_gives_can_be_joined_again(store, three):
    data, pieces = three
    inner = join(store, "inner", pieces)
    join(store, "outer", [Segment("inner", inner.size, inner.etag, is_manifest=True), pieces[0]])
    join(store, "again", store.manifest_segments("outer"))
    assert read(store, "again") == data + data[: pieces[0].size]
