"""A portal of the test's own, and people who visit it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional.pages.scene import PASSWORD, Scene, Tenant
from tests.functional.pages.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def scene(data_folder: Path, sqlite_url: str, redis_url: str) -> Iterator[Scene]:
    """A portal on SQLite and a real Redis."""
    scene = Scene(data_folder, sqlite_url, redis_url, sign_in_limit="1000 per minute")
    yield scene
    scene.close()


@pytest.fixture
def any_scene(data_folder: Path, database_url: str, redis_url: str) -> Iterator[Scene]:
    """The same, on SQLite and then on PostgreSQL."""
    scene = Scene(data_folder, database_url, redis_url, sign_in_limit="1000 per minute")
    yield scene
    scene.close()


@pytest.fixture
def visit() -> Callable[[Scene, str | Tenant], Visitor]:
    """Somebody signed in, by e-mail address or as a tenant's user."""

    def enter(scene: Scene, who: str | Tenant) -> Visitor:
        visitor = Visitor(scene.app)
        email = who if isinstance(who, str) else who.email
        assert visitor.sign_in(email, PASSWORD).status_code == 303
        return visitor

    return enter
