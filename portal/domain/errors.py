"""Errors that people read.

Every error of this project that may reach a person is a `SnapportError`: its text is one clear
sentence for whoever asked, `permanent` says whether trying again unchanged can help, and nothing
else decides about retries. Drivers translate their vendor's errors into these, and keep the
vendor's as `__cause__` for the log.
"""


class SnapportError(Exception):
    """One sentence for the person who asked; `permanent` when trying again cannot help."""

    permanent: bool = True

    def __init__(self, message: str, *, permanent: bool | None = None) -> None:
        super().__init__(message)
        if permanent is not None:
            self.permanent = permanent

    @property
    def message(self) -> str:
        """The sentence."""
        return str(self.args[0])


class InvalidInput(SnapportError):
    """What a person typed cannot be used; `field` names the form field, or is empty."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotFound(SnapportError):
    """It does not exist, or is not this person's: the two are never told apart."""


class NotAllowed(SnapportError):
    """The person is known, and this is not theirs to do."""


class Conflict(SnapportError):
    """It cannot be done in the present state (a job is active, the name is taken …)."""


class QueueUnavailable(SnapportError):
    """The job queue cannot be reached; what was recorded will start when it is back."""

    permanent = False


class LeaseLost(SnapportError):
    """Another took this job over, or its lease ran out: stop at once and touch nothing more."""


class JobCancelled(SnapportError):
    """Somebody asked for this job to stop."""


class JobInterrupted(SnapportError):
    """The worker was asked to stop: hand the job back, another goes on."""

    permanent = False


class DiskUnavailable(SnapportError):
    """The disk is missing, unreadable, or failed while it was read."""


class Unsuitable(SnapportError):
    """The disk cannot be taken as this kind; the sentence says which kind can."""


class StoreError(SnapportError):
    """The object store did not do what was asked."""


class StoreRefused(StoreError):
    """The store does not accept the credentials, or forbids this."""


class StoreUnreachable(StoreError):
    """The store cannot be reached, timed out, or answers with errors of its own."""

    permanent = False


class StoreFull(StoreError):
    """The store has no room left (a quota, or the service itself)."""


class ObjectMissing(StoreError):
    """There is no such object or container."""


class ObjectDamaged(StoreError):
    """What the store holds or received is not what was sent: a checksum or size differs."""

    permanent = False
