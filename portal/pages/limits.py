"""How often somebody may try: by address and by e-mail, counted in Redis.

What must always hold: without Redis the limits still hold, counted in this process.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import redis
from flask import request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

if TYPE_CHECKING:
    from flask import Flask, Response

    from portal.settings import Settings


def make_limiter(app: Flask, settings: Settings) -> Limiter:
    """The limiter of this application; views ask for their limits with `attempts`."""
    # Short: a sign-in must not hang because Redis does not answer.
    pool = redis.ConnectionPool.from_url(
        settings.redis, socket_timeout=1, socket_connect_timeout=1, retry=None
    )
    limiter = Limiter(
        get_remote_address,
        storage_uri="redis://",
        storage_options={"connection_pool": pool},  # type: ignore[dict-item]
        strategy="fixed-window",
        in_memory_fallback_enabled=True,
        headers_enabled=True,
        key_prefix="snapport",
    )
    limiter.init_app(app)
    app.config["SIGN_IN_LIMIT"] = settings.sign_in_limit
    return limiter


def address() -> str:
    """The address that asks, behind the proxies that are trusted."""
    return f"address:{get_remote_address()}"


def email() -> str:
    """The e-mail address that is tried; hashed, so that a key is short and tells nobody's name."""
    tried = request.form.get("email", "").strip().lower()
    return f"email:{hashlib.sha256(tried.encode(errors='replace')).hexdigest()}"


def failed(response: Response) -> bool:
    """Only what failed counts: success redirects, and an office may share one address."""
    return response.status_code != 303
