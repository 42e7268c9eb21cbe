"""Settings: the environment, then what the embedded stack noted, then the defaults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from portal.settings import CHECKOUT, Settings

if TYPE_CHECKING:
    from pathlib import Path


def _note(folder: Path, **noted: object) -> None:
    (folder / "embedded.json").write_text(json.dumps(noted))


def test_the_defaults_stand_in_the_checkout() -> None:
    settings = Settings()
    assert settings.data == CHECKOUT / "data"
    assert settings.port == 8080
    assert settings.bind == "127.0.0.1"
    assert settings.database == f"sqlite:///{CHECKOUT / 'data' / 'snapport.db'}"


def test_what_the_embedded_stack_noted_is_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _note(tmp_path, redis_url="redis://noted/0", swift_user="noted:user", port=1, nonsense=True)
    monkeypatch.setenv("SNAPPORT_DATA", str(tmp_path))
    settings = Settings()
    assert settings.redis == "redis://noted/0"
    assert settings.swift_user == "noted:user"
    assert settings.port == 8080  # not its to say
    monkeypatch.setenv("SNAPPORT_REDIS_URL", "redis://environment/0")
    assert Settings().redis == "redis://environment/0"
    assert Settings().swift_user == "noted:user"
    assert Settings(redis_url="redis://argument/0").redis == "redis://argument/0"  # type: ignore[arg-type]


def test_a_data_folder_given_as_an_argument_has_notes_too(tmp_path: Path) -> None:
    _note(tmp_path, redis_url="redis://noted/0")
    assert Settings(data=tmp_path).redis == "redis://noted/0"


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '"text"', "\x00", '{"redis_url": 5}'])
def test_notes_that_are_damaged_keep_nobody_from_starting(tmp_path: Path, content: str) -> None:
    (tmp_path / "embedded.json").write_text(content)
    assert Settings(data=tmp_path).redis == "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("LEASE_SECONDS", "0"),
        ("REAP_SECONDS", "0"),
        ("PROXIES", "-1"),
        ("HTTPS", "perhaps"),
    ],
)
def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SNAPPORT_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEY", "SWIFT_KEY", "REDIS_URL"):
        monkeypatch.setenv(f"SNAPPORT_{name}", "redis://:hunter2@127.0.0.1/0")
    settings = Settings()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
    assert "hunter2" in settings.redis


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]
