"""`python -m bench.installed --host HOST`: the worker as an installed host has it.

The tests' Keystone brings keystoneclient, which swiftclient imports where it finds it: 16 MiB in
each process that no host has.
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.modules["keystoneclient"] = None  # type: ignore[assignment]  # as if it were not there
    runpy.run_module("worker", run_name="__main__", alter_sys=True)
