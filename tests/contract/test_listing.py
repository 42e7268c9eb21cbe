"""Listings: order, pages (the Swift under test gives seven names a page), folders."""

from __future__ import annotations

import pytest


@pytest.fixture
def names(put) -> list[str]:
    """Objects in the store, in the order of their UTF-8 bytes."""
    names = [f"a/{n:02}/x" for n in range(20)]
    names += [
        "a/plain",
        "b",
        "b/",
        "b//c",
        "B",
        "Ω/1",
        "é/1",
        "~",
        "\U0001f389",
        "￿",
        "100%",
        "a b/c",
    ]
    for name in names:
        put(name, b"x")
    return sorted(names, key=str.encode)


def test_every_name_in_the_order_of_its_bytes(store, names):
    assert [one.name for one in store.list()] == names


def test_a_prefix(store, names):
    assert [one.name for one in store.list("a/1")] == [n for n in names if n.startswith("a/1")]
    assert [one.name for one in store.list("é")] == ["é/1"]
    assert [one.name for one in store.list("100%")] == ["100%"]
    assert list(store.list("nothing")) == []


def test_folders_are_the_next_elements(store, names):
    assert list(store.folders()) == ["a b/", "a/", "b/", "é/", "Ω/"]
    assert list(store.folders("a/")) == [f"a/{n:02}/" for n in range(20)]
    assert list(store.folders("b/")) == ["b//"]
    assert list(store.folders("a/plain")) == []
    assert list(store.folders("nothing/")) == []


def test_listing_while_deleting(store, names):
    for one in store.list():
        store.delete(one.name)
    assert list(store.list()) == []


def test_an_empty_container(store):
    assert list(store.list()) == []
    assert list(store.folders()) == []
