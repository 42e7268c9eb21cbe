"""How the tests are divided among processes, where there are several (`pytest -n 2`).

What must always hold:
- The tests of a file run in one process, one after the other; so do those of all files in `HOST`,
  which look for what is left of a job on the whole host and would see each other's.
- The tests of `tests/contract` share one Keystone, which takes long to come up.
- Each process has servers, folders and ports of its own: all they share is the checkout.

What takes longest is begun first, so that all end at about the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

HOST = tuple(
    f"tests/functional/worker/test_{name}.py"
    for name in (
        *("drivers", "inspect", "kvm", "quiet", "startup", "worker_process"),
        *("tar", "tar_btrfs", "tar_endings", "tar_libguestfs", "tar_rights"),
    )
)
CONTRACT = "tests/contract/"
FIRST = (*HOST, CONTRACT, "tests/functional/", "tests/interop/", "tests/browser/")
"""In this order; then the rest."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """A file goes to the next process that is free; what stays together goes like one file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file in HOST:
                return "host"
            return CONTRACT if file.startswith(CONTRACT) else file

    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put first what takes longest; each process does the same."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    return next((at for at, begin in enumerate(FIRST) if nodeid.startswith(begin)), len(FIRST))
