"""One frozen `Settings`, read from the environment once at start.

What a person sets is an environment variable `SNAPPORT_…`. What `make run` decided for itself (the
addresses of its own Redis and Swift) stands in `DATA/embedded.json` and is only a default: the
environment wins. Secrets are `SecretStr`: they do not show in logs or tracebacks.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Where everything is. Each field is `SNAPPORT_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="SNAPPORT_", frozen=True, extra="ignore")

    data: Path = CHECKOUT / "data"
    port: int = Field(default=8080, ge=1, le=65535)
    bind: str = "127.0.0.1"
    database_url: str = ""
    redis_url: SecretStr = SecretStr("")
    key: SecretStr = SecretStr("")
    """Keys that encrypt store credentials: Fernet keys, comma-separated, newest first."""
    key_file: Path | None = None
    host: str = "local"
    https: bool = False
    """Behind TLS: cookies are `Secure`, HSTS is sent."""
    proxies: int = Field(default=0, ge=0, le=5)
    """How many trusted reverse proxies set X-Forwarded-For in front of the portal."""
    support_email: str = "support@snapport.example"
    lease_seconds: float = Field(default=30.0, ge=1)
    """How long a worker's claim on a job holds without a sign of life."""
    reap_seconds: float = Field(default=5.0, gt=0)
    """How often the reaper looks for leases that ran out; with the lease, under 60 s."""
    reader: Literal["kernel", "libguestfs"] = "kernel"
    """Who reads the file systems of tar snapshots: the host's kernel, or a machine of its own."""
    reader_kvm: Literal["probe", "yes", "no"] = "probe"
    """Whether libguestfs uses KVM; a probe boots a machine, once after each boot of the host."""
    watch_disks: bool = True
    """Whether a worker holds leases on image files, to see that nobody writes to them meanwhile."""
    sign_in_limit: str = "10 per minute; 100 per hour"
    log_json: bool = False

    # What the embedded stack of `make run` tells of itself.
    swift_auth_url: str = ""
    swift_user: str = ""
    swift_key: SecretStr = SecretStr("")
    portal_url: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then what the embedded stack wrote."""
        return init_settings, env_settings, _EmbeddedSource(settings_cls, env_settings)

    @cached_property
    def database(self) -> str:
        """The SQLAlchemy URL: SQLite in the data folder unless told otherwise."""
        return self.database_url or f"sqlite:///{self.data.resolve() / 'snapport.db'}"

    @cached_property
    def redis(self) -> str:
        """The Redis URL, with its password in it: never log it."""
        return self.redis_url.get_secret_value() or "redis://127.0.0.1:6379/0"


class _EmbeddedSource(PydanticBaseSettingsSource):
    """Defaults from `DATA/embedded.json`, where the embedded stack noted what it decided."""

    KEYS = ("redis_url", "swift_auth_url", "swift_user", "swift_key", "portal_url")

    def __init__(
        self, settings_cls: type[BaseSettings], environment: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Unused: this source answers as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        data = self.current_state.get("data") or self._environment().get("data")
        folder = Path(data) if data else CHECKOUT / "data"
        try:
            noted = json.loads((folder / "embedded.json").read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(noted, dict):
            return {}
        return {key: noted[key] for key in self.KEYS if isinstance(noted.get(key), str)}
