"""A store's configuration: what it refuses, what it hides, and that it survives as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portal.domain.errors import InvalidInput
from portal.stores.config import StoreConfig

CONFIG = StoreConfig(
    driver="swift",
    auth_url="https://store.example:8080/auth/v1.0",
    user="account:user",
    key="the secret key",
    temp_url_key="the other secret",
)


def test_secrets_do_not_show():
    assert "the secret key" not in repr(CONFIG)
    assert "the other secret" not in repr(CONFIG)


def test_it_comes_back_from_text():
    odd = replace(
        CONFIG,
        auth_version="3",
        project="Žluťoučký",
        application_credential=True,
        connect_timeout=1.5,
        key='ü "quoted" \\ %',
    )
    for config in (CONFIG, odd):
        assert StoreConfig.from_text(config.as_text()) == config


def test_text_of_an_older_version_keeps_defaults():
    text = {name: CONFIG.as_text()[name] for name in ("driver", "auth_url", "user", "key")}
    assert StoreConfig.from_text(text) == replace(CONFIG, temp_url_key="")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("auth_url", "store.example"),
        ("auth_url", "ftp://store.example/"),
        ("auth_url", "https://"),
        ("auth_url", "https://[::1/"),
        ("auth_url", "https://store.example:99999/"),
        ("auth_url", "https://store.example:0/"),
        ("auth_url", "https://store.example/a b"),
        ("auth_url", "https://store.example/\nX: y"),
        ("auth_url", "https://user:key@store.example/"),
        ("auth_version", "2"),
        ("user", ""),
        ("user", "a\r\nX-Evil: 1"),
        ("key", ""),
        ("key", "a\nb"),
        ("temp_url_key", "a\nb"),
        ("container", ""),
        ("container", "a/b"),
        ("container", ".."),
        ("container", "x" * 257),
        ("container", "a\nb"),
        ("container", "lone \ud800"),
        ("connect_timeout", 0.0),
        ("read_timeout", -1.0),
        ("retry_seconds", float("nan")),
        ("retry_seconds", float("inf")),
    ],
)
def test_what_no_driver_could_use_is_refused(field, value):
    with pytest.raises(InvalidInput) as caught:
        replace(CONFIG, **{field: value})
    assert caught.value.field in {field, "user"}


def test_one_container_has_one_identity():
    same = replace(
        CONFIG, auth_url="http://STORE.example:8080/auth/v1.0/", user="account:other", key="x"
    )
    assert same.identity == CONFIG.identity
    for other in (
        replace(CONFIG, container="another"),
        replace(CONFIG, user="else:user"),
        replace(CONFIG, auth_url="https://elsewhere.example:8080/auth/v1.0"),
    ):
        assert other.identity != CONFIG.identity
