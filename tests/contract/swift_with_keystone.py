"""The embedded Swift with Keystone in place of its own authentication.

`python -m tests.contract.swift_with_keystone DATA_FOLDER KEYSTONE_PORT PASSWORD`: the same four
servers, but `authtoken keystoneauth` stand where `tempauth` stood.
"""

from __future__ import annotations

import sys
from pathlib import Path

from portal.embedded import swift, swift_config
from portal.embedded.folder import DataFolder
from portal.embedded.swift_config import SwiftOptions

CACHE_SECONDS = 3
"""How long Swift believes a token without asking Keystone again, which takes 50 ms and more."""


def main() -> None:
    """Become Swift, until SIGTERM."""
    folder, port, password = DataFolder(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
    filters = f"""
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = http://127.0.0.1:{port}/v3
auth_url = http://127.0.0.1:{port}/v3
auth_type = password
username = swift
password = {password}
user_domain_id = default
project_name = service
project_domain_id = default
delay_auth_decision = True
cache = swift.cache
# Short, so that a revoked token is noticed while a test waits for it.
token_cache_time = {CACHE_SECONDS}
interface = public
include_service_catalog = False

[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = member
"""
    proxy = swift_config._proxy

    def with_keystone(folder: DataFolder, options: SwiftOptions) -> str:
        return proxy(folder, options).replace(" tempauth ", " authtoken keystoneauth ") + filters

    swift_config._proxy = with_keystone
    swift.serve(folder, swift_config.ports(folder), SwiftOptions())


if __name__ == "__main__":
    main()
