"""A disk's errors, as sentences for people: what happened and where, never a path of the host."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import snapcore

from portal.domain.errors import DiskUnavailable, JobCancelled

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def disk_trouble() -> Iterator[None]:
    """Turn what snapcore and the system say of a disk into `DiskUnavailable`."""
    try:
        yield
    except snapcore.Cancelled as error:
        raise JobCancelled("The snapshot was cancelled.") from error
    except snapcore.DiskError as error:
        if error.offset is None:
            raise DiskUnavailable("The server's disk cannot be opened or read.") from error
        raise DiskUnavailable(
            f"The server's disk could not be read at byte {error.offset}, so the snapshot was"
            " stopped: nothing is ever skipped silently."
        ) from error
    except OSError as error:
        raise DiskUnavailable(
            f"The server's disk cannot be opened ({error.strerror or 'unknown error'})."
        ) from error
