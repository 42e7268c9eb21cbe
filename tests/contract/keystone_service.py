"""A real Keystone on loopback: `python -m tests.contract.keystone_service FOLDER PORT PASSWORD`.

OpenStack's identity service from its own package, on SQLite, with fernet tokens. The three set-up
commands run in forks of a process that has imported it all once.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from pathlib import Path

REGION = "RegionOne"
TOKEN_SECONDS = 3600


def configure(folder: Path) -> Path:
    """Write the configuration and make the key folders."""
    for name in ("fernet", "credential"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    path = folder / "keystone.conf"
    path.write_text(
        f"""[DEFAULT]
log_file = {folder / "keystone.log"}
[database]
connection = sqlite:///{folder / "keystone.db"}
[token]
provider = fernet
expiration = {TOKEN_SECONDS}
[fernet_tokens]
key_repository = {folder / "fernet"}
[fernet_receipts]
key_repository = {folder / "fernet"}
[credential]
key_repository = {folder / "credential"}
[identity]
# The cheapest that bcrypt has: passwords of tests need no protection.
password_hash_rounds = 4
[cache]
enabled = false
"""
    )
    return path


def manage(config: Path, *command: str) -> None:
    """`keystone-manage COMMAND` in a fork."""
    from keystone.cmd import cli

    child = os.fork()
    if child == 0:
        try:
            cli.main(["keystone-manage", "--config-file", str(config), *command])
        except BaseException:  # noqa: BLE001 - a fork must not return into its parent's code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"keystone-manage {command[0]} failed")


def main() -> None:
    """Set up and serve until SIGTERM."""
    warnings.simplefilter("ignore")
    folder, port, password = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    config = configure(folder)
    me = str(os.getuid()), str(os.getgid())
    manage(config, "db_sync")
    manage(config, "fernet_setup", "--keystone-user", me[0], "--keystone-group", me[1])
    manage(
        config,
        "bootstrap",
        *("--bootstrap-password", password),
        *("--bootstrap-public-url", f"http://127.0.0.1:{port}/v3/"),
        *("--bootstrap-region-id", REGION),
    )
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(config)
    del sys.argv[1:]  # the application would read them as its own
    from keystone.wsgi.api import application
    from werkzeug.serving import make_server

    make_server("127.0.0.1", port, application, threaded=True).serve_forever()


if __name__ == "__main__":
    main()
