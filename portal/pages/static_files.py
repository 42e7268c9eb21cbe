"""The portal's own files, cached for long: an address changes when its file does."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import request

if TYPE_CHECKING:
    from flask import Flask, Response

_YEAR = 365 * 24 * 3600


class _Versions:
    """The hash of each file, computed again when the file changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[int, str]] = {}

    def of(self, name: str) -> str | None:
        path = self._folder / name
        try:
            changed = path.stat().st_mtime_ns
            known = self._known.get(name)
            if known is None or known[0] != changed:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
                self._known[name] = known = (changed, digest)
        except OSError:
            return None
        return known[1]


def register(app: Flask) -> None:
    """Give static addresses their version, and their answers a cache time."""
    versions = _Versions(Path(app.static_folder or ""))

    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "filename" in values and "v" not in values:
            version = versions.of(values["filename"])
            if version:
                values["v"] = version

    def add_cache_time(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code in {200, 304}:
            asked = request.args.get("v")
            current = versions.of((request.view_args or {}).get("filename", ""))
            response.headers["Cache-Control"] = (
                f"public, max-age={_YEAR}, immutable" if asked == current else "no-cache"
            )
        return response

    app.url_defaults(add_version)
    app.after_request(add_cache_time)
