"""python-swiftclient's module, and nothing else.

Where keystoneclient is installed swiftclient imports it, for a way to sign in that is not ours: 400
modules, 15 MiB and 0.3 s for each process.
"""

from __future__ import annotations

import sys

_NOT_WANTED = "keystoneclient"

_hidden = _NOT_WANTED not in sys.modules
if _hidden:
    sys.modules[_NOT_WANTED] = None  # type: ignore[assignment]  # an import of it fails
try:
    from swiftclient import client
finally:
    if _hidden:
        del sys.modules[_NOT_WANTED]

__all__ = ["client"]
