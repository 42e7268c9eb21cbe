"""Bring htmx to `portal/static/vendor`: from the wheel that carries it, checked by its hash.

Nothing of it is committed. Does nothing where the right file is already there.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "django-htmx==1.29.0"
MEMBER = "django_htmx/static/django_htmx/htmx-2.min.js"  # htmx 2.0.10
SHA256 = "71ea67185bfa8c98c39d31717c6fce5d852370fcdfd129db4543774d3145c0de"
TARGET = Path(__file__).resolve().parent.parent / "portal/static/vendor/htmx.min.js"


def main() -> int:
    """0, or 1 with a sentence on standard error."""
    if TARGET.exists() and hashlib.sha256(TARGET.read_bytes()).hexdigest() == SHA256:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [
                *(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"),
                *("--no-deps", "--only-binary=:all:", "-d", folder, WHEEL),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["pip said nothing"]
            print(f"setup: htmx could not be downloaded: {said[-1]}", file=sys.stderr)
            return 1
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            contents = archive.read(MEMBER)
    if hashlib.sha256(contents).hexdigest() != SHA256:
        print(f"setup: the htmx of {WHEEL} is not the one expected; not used.", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    fresh = TARGET.with_suffix(".new")
    fresh.write_bytes(contents)
    fresh.replace(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
