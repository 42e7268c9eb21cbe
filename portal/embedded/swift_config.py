"""Swift's configuration, rings and secrets in a data folder.

What must always hold: written anew at each start from the options, the secrets kept from the
first; everything listens on 127.0.0.1; nothing is read from /etc/swift.
"""

from __future__ import annotations

import base64
import getpass
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from portal.domain.errors import Conflict
from portal.embedded.folder import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from portal.embedded.folder import DataFolder

SERVERS = ("object", "container", "account", "proxy")

ACCOUNT, USER = "memstore", "customer"
"""The customer account of tempauth that the demonstration and the tests use."""

MIB = 1024**2


@dataclass(frozen=True, slots=True)
class SwiftOptions:
    """What differs between one embedded Swift and another."""

    fallocate_reserve: str = "1%"
    """Room the object server leaves free on the disk; "100%" makes it a full disk (507, so 503)."""
    token_life: int = 86_400
    max_manifest_segments: int = 1000
    client_timeout: int = 60
    users: Mapping[str, str] = field(default_factory=dict)
    """More users: `ACCOUNT:USER` → key, each admin of its account."""


def check_path(folder: DataFolder) -> None:
    """Refuse what paste.deploy cannot read: it takes a path for an address, and `%` for a name."""
    for character in "#%":
        if character in str(folder.path):
            raise Conflict(
                f"Swift cannot be kept under a path with a {character} in it: {folder.path}"
            )


def ports(folder: DataFolder) -> dict[str, int]:
    """The four servers' ports, the proxy's being the one that clients use."""
    chosen = folder.ports(*(f"swift_{server}" for server in SERVERS))
    return {server: chosen[f"swift_{server}"] for server in SERVERS}


def endpoint(folder: DataFolder, proxy_port: int) -> dict[str, str]:
    """Where and how the customer account signs in, in the settings' names."""
    return {
        "swift_auth_url": f"http://127.0.0.1:{proxy_port}/auth/v1.0",
        "swift_user": f"{ACCOUNT}:{USER}",
        "swift_key": folder.secret("swift-customer"),
    }


def write(folder: DataFolder, at: Mapping[str, int], options: SwiftOptions) -> Path:
    """Write swift.conf and one file a server; the folder they are in."""
    etc = folder.swift / "etc"
    folder.swift.mkdir(mode=0o700, exist_ok=True)
    (folder.swift / "devices" / "d1").mkdir(mode=0o700, parents=True, exist_ok=True)
    etc.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(
        etc / "swift.conf",
        f"""[swift-hash]
swift_hash_path_prefix = {folder.secret("swift-hash-prefix")}
swift_hash_path_suffix = {folder.secret("swift-hash-suffix")}

[storage-policy:0]
name = single
default = yes

# ext4 keeps about 4 KB of an object's metadata; more is a 503 where this limit would be a 400.
[swift-constraints]
max_meta_overall_size = 3072
""",
    )
    for server in SERVERS:
        body = _proxy(folder, options) if server == "proxy" else _backend(server)
        write_private(etc / f"{server}-server.conf", _default(folder, at[server], options) + body)
    return etc


def build_rings(etc: Path, at: Mapping[str, int]) -> None:
    """One device, one replica: rings that say so, where the ports are not those of last time.

    Imports Swift: only for the process that becomes Swift.
    """
    from swift.common.ring.builder import RingBuilder

    for server in ("account", "container", "object"):
        stamp, ring = etc / f"{server}.port", etc / f"{server}.ring.gz"
        if ring.exists() and stamp.exists() and stamp.read_text() == str(at[server]):
            continue
        builder = RingBuilder(part_power=6, replicas=1, min_part_hours=1)
        builder.add_dev(
            {
                "region": 1,
                "zone": 1,
                "ip": "127.0.0.1",
                "port": at[server],
                "replication_ip": "127.0.0.1",
                "replication_port": at[server],
                "device": "d1",
                "weight": 1.0,
                "meta": "",
            }
        )
        builder.rebalance()
        builder.get_ring().save(str(ring))
        stamp.write_text(str(at[server]))


def _default(folder: DataFolder, port: int, options: SwiftOptions) -> str:
    return f"""[DEFAULT]
user = {getpass.getuser()}
swift_dir = {folder.swift / "etc"}
devices = {folder.swift / "devices"}
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
log_level = WARNING
log_custom_handlers = portal.embedded.swift.log_to_stderr
log_address = {folder.swift / "no-syslog"}
fallocate_reserve = {options.fallocate_reserve}
client_timeout = {options.client_timeout}
"""


def _backend(server: str) -> str:
    chunks = f"disk_chunk_size = {MIB}\nnetwork_chunk_size = {MIB}\n" if server == "object" else ""
    return f"""
[pipeline:main]
pipeline = {server}-server

[app:{server}-server]
use = egg:swift#{server}
{chunks}"""


PIPELINE = (
    "catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl formpost tempauth "
    "staticweb copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-server"
)


def _proxy(folder: DataFolder, options: SwiftOptions) -> str:
    users = "".join(
        f"user_{name.replace(':', '_', 1)} = {key} .admin\n"
        for name, key in {
            f"{ACCOUNT}:{USER}": folder.secret("swift-customer"),
            **options.users,
        }.items()
    )
    own = {
        "cache": "paste.filter_factory = portal.embedded.swift_cache:filter_factory\n",
        "bulk": "use = egg:swift#bulk\n",
        "tempurl": "use = egg:swift#tempurl\n"
        "methods = GET HEAD PUT POST DELETE\nallowed_digests = sha256 sha512\n",
        "formpost": "use = egg:swift#formpost\nallowed_digests = sha256 sha512\n",
        "tempauth": f"use = egg:swift#tempauth\n{users}token_life = {options.token_life}\n"
        f"fernet_key_k1 = {_fernet_key(folder)}\nactive_fernet_key_id = k1\n",
        "container-quotas": "use = egg:swift#container_quotas\n",
        "account-quotas": "use = egg:swift#account_quotas\n",
        "slo": f"use = egg:swift#slo\nmax_manifest_segments = {options.max_manifest_segments}\n",
        "versioned_writes": "use = egg:swift#versioned_writes\nallow_object_versioning = true\n",
    }
    filters = "".join(
        f"\n[filter:{name}]\n{own.get(name, f'use = egg:swift#{name}' + chr(10))}"
        for name in PIPELINE.split()[:-1]
    )
    # error_suppression_interval: at its default of 60, one full disk means a minute of 503 for all.
    return f"""
[pipeline:main]
pipeline = {PIPELINE}

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
error_suppression_interval = 0
node_timeout = 60
conn_timeout = 5
client_chunk_size = {MIB}
object_chunk_size = {MIB}
{filters}"""


def _fernet_key(folder: DataFolder) -> str:
    return folder.secret(
        "swift-fernet", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    )
