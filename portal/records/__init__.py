"""The database: SQLAlchemy models, one noun a file. Knows the domain, never Flask or a store."""

from portal.records.account import Account
from portal.records.declarative import Record
from portal.records.file import FilePart, SnapshotFile
from portal.records.host import Host
from portal.records.job import Job
from portal.records.part import Part
from portal.records.server import Disk, Server
from portal.records.snapshot import Snapshot
from portal.records.store import StoreRecord
from portal.records.user import User

__all__ = [
    "Account",
    "Disk",
    "FilePart",
    "Host",
    "Job",
    "Part",
    "Record",
    "Server",
    "Snapshot",
    "SnapshotFile",
    "StoreRecord",
    "User",
]
