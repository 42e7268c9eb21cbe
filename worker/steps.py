"""The steps of a job, in order: what people read of them while they run."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """Each is told before it begins."""

    OPENING = "Opening the disk"
    INSPECTING = "Looking at the disk"
    DRIVERS = "Looking what the server starts with"
    PARTS = "Copying the disk"
    MANIFEST = "Joining the parts"
    PROVING = "Reading the file back"
    INDEX = "Writing snapshot.json"
    README = "Writing README.txt"
    FINISHED = "Finishing"
    CLEARING = "Clearing up"
    REMOVING = "Deleting files"
    SWEEPING = "Deleting parts"
