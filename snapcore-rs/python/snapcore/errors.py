"""What snapcore raises: one tree, each with one clear sentence."""


class SnapcoreError(Exception):
    """Anything that snapcore raises of its own."""


class DiskError(SnapcoreError):
    """A disk is missing, is no disk, is empty, shrank, or could not be read.

    `offset` is the byte of the disk at which it failed; None where the disk failed as a whole.
    """

    def __init__(self, message: str, path: str | None = None, offset: int | None = None) -> None:
        super().__init__(message, path, offset)
        self.path = path
        self.offset = offset

    def __str__(self) -> str:
        return str(self.args[0])


class Cancelled(SnapcoreError):
    """The stream was cancelled or closed before its end."""


class CorruptFrame(SnapcoreError):
    """Compressed bytes are not what they were said to be."""


class UsageError(SnapcoreError):
    """A call that makes no sense: a closed disk, no threads, an unfinished stream."""


class InternalError(SnapcoreError):
    """A fault of snapcore itself or of a library below it."""
