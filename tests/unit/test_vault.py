"""The vault: sealed to a purpose, keys that rotate, a key file that only its owner reads."""

from __future__ import annotations

import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from portal.settings import Settings
from portal.vault import Vault, VaultError, open_vault

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@given(
    st.text(max_size=50), st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5)
)
def test_what_is_sealed_opens_for_its_purpose_alone(purpose: str, secrets: dict[str, str]) -> None:
    vault = Vault([OLD])
    sealed = vault.seal(purpose, secrets)
    assert vault.open(purpose, sealed) == secrets
    with pytest.raises(VaultError):
        vault.open(purpose + "x", sealed)


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    vault = Vault([OLD])
    sealed = bytearray(vault.seal("p", {"key": "secret"}))
    place = data.draw(st.integers(0, len(sealed) - 1))
    # Within base64's own letters, so that not only its decoder objects; the last one before the
    # padding carries unused bits.
    letter = data.draw(st.sampled_from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789-_"))
    changed = bytes(sealed[:place]) + bytes([letter]) + bytes(sealed[place + 1 :])
    if Vault([OLD]) and _same(changed, bytes(sealed)):
        return
    with pytest.raises(VaultError):
        vault.open("p", changed)


def _same(one: bytes, other: bytes) -> bool:
    import base64

    try:
        return base64.urlsafe_b64decode(one) == base64.urlsafe_b64decode(other)
    except ValueError:
        return False


def test_keys_rotate() -> None:
    sealed = Vault([OLD]).seal("p", {"key": "secret"})
    both = Vault([NEW, OLD])
    assert both.open("p", sealed) == {"key": "secret"}
    again = both.seal("p", {"key": "secret"})
    assert Vault([NEW]).open("p", again) == {"key": "secret"}
    for keys, text in (([NEW], sealed), ([OLD], again)):
        with pytest.raises(VaultError):
            Vault(keys).open("p", text)


def test_what_is_derived_stays_while_the_oldest_key_does() -> None:
    assert Vault([NEW, OLD]).derive("sessions") == Vault([OLD]).derive("sessions")
    assert Vault([OLD]).derive("sessions") != Vault([OLD]).derive("other")
    assert Vault([NEW]).derive("sessions") != Vault([OLD]).derive("sessions")
    assert OLD not in Vault([OLD]).derive("sessions")


@pytest.mark.parametrize("keys", [[], ["short"], ["x" * 44], ["é"], [OLD, "bad"]])
def test_what_is_no_key_is_refused_without_being_shown(keys: list[str]) -> None:
    with pytest.raises(VaultError) as refused:
        Vault(keys)
    assert "key" in refused.value.message
    assert not any(key in refused.value.message for key in keys)


def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    sealed = open_vault(settings).seal("p", {"a": "b"})
    key = tmp_path / "data" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert open_vault(settings).open("p", sealed) == {"a": "b"}
    assert [path.name for path in key.parent.iterdir()] == ["key"]


def test_of_processes_that_start_together_all_use_one_key(tmp_path: Path) -> None:
    start = (
        "import sys; from pathlib import Path; from portal.settings import Settings;"
        "from portal.vault import open_vault;"
        "print(open_vault(Settings(data=Path(sys.argv[1]))).derive('x'))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", start, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    derived = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(derived) == 1


def test_a_key_file_that_was_named_is_never_made(tmp_path: Path) -> None:
    missing = tmp_path / "key"
    with pytest.raises(VaultError, match="cannot be read"):
        open_vault(Settings(data=tmp_path, key_file=missing))
    assert not missing.exists()
    missing.write_text(f"{NEW}\n{OLD}\n")
    sealed = Vault([OLD]).seal("p", {"a": "b"})
    assert open_vault(Settings(data=tmp_path, key_file=missing)).open("p", sealed) == {"a": "b"}


def test_the_environments_key_wins_over_the_file(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, key=f"{NEW}, {OLD},")  # type: ignore[arg-type]
    vault = open_vault(settings)
    assert vault.open("p", Vault([OLD]).seal("p", {"a": "b"})) == {"a": "b"}
    assert not (tmp_path / "key").exists()
    assert NEW not in repr(settings)
