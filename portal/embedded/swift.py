"""OpenStack Swift in one process: `python -m portal.embedded.swift DATA_FOLDER`.

The account, container, object and proxy servers of the real thing, each on a port of its own, in
green threads of one process: 60 MB of memory, listening within two seconds.

The order of imports matters. Swift reads its folder when modules like `swift.common.constraints`
are imported, so `swift.common.utils` comes first and is told the folder; and everything must be
monkey-patched before a server is loaded.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import time
import urllib.request
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portal.embedded import swift_config
from portal.embedded.child import Program
from portal.embedded.folder import DataFolder
from portal.embedded.swift_config import SERVERS, SwiftOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKLOG = 1024
REQUESTS_AT_ONCE = 1024


class SwiftServer:
    """How to run Swift on a data folder, and where it answers."""

    def __init__(self, folder: DataFolder, options: SwiftOptions | None = None) -> None:
        swift_config.check_path(folder)
        self.folder = folder
        self.options = options or SwiftOptions()
        self.ports = swift_config.ports(folder)
        self.endpoint = swift_config.endpoint(folder, self.ports["proxy"])

    def program(self, keep: tuple[int, ...] = ()) -> Program:
        """The program to run."""
        return Program(
            "swift",
            [sys.executable, "-m", "portal.embedded.swift", str(self.folder.path)],
            self.folder.log / "swift.log",
            ready=self.answers,
            # By the environment: a user's key does not belong in a process list.
            env={"SNAPPORT_SWIFT_OPTIONS": json.dumps([self.ports, asdict(self.options)])},
            death_signal=signal.SIGKILL,
            keep=keep,
        )

    def answers(self) -> bool:
        """Whether the proxy is healthy; the other servers listen before it does."""
        with contextlib.suppress(OSError):
            address = f"http://127.0.0.1:{self.ports['proxy']}/healthcheck"
            with urllib.request.urlopen(address, timeout=2) as answer:
                return bool(answer.read() == b"OK")
        return False


def log_to_stderr(
    _conf: object,
    _name: object,
    _to_console: object,
    _route: object,
    _format: object,
    logger: logging.Logger,
    _adapted: object,
) -> None:
    """Swift's `log_custom_handlers` hook: to our log file, and not to syslog over UDP."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(server)s: %(message)s"))
    logger.addHandler(handler)


def serve(folder: DataFolder, at: Mapping[str, int], options: SwiftOptions) -> None:
    """Become Swift, until SIGTERM."""
    warnings.simplefilter("ignore")
    os.environ["TZ"] = "UTC+0"  # Swift's own habit: no stat of /etc/localtime for every time stamp
    time.tzset()
    from swift.common import utils

    etc = swift_config.write(folder, at, options)
    utils.set_swift_dir(str(etc))
    utils.monkey_patch()
    swift_config.build_rings(etc, at)

    import eventlet
    import eventlet.hubs
    import eventlet.wsgi
    from swift.common import wsgi

    eventlet.hubs.use_hub(utils.get_hub())
    for server in SERVERS:
        path = str(etc / f"{server}-server.conf")
        conf, _logger, log_name = wsgi._initrp(path, f"{server}-server")
        utils.FALLOCATE_RESERVE, utils.FALLOCATE_IS_PERCENT = utils.config_fallocate_value(
            conf.get("fallocate_reserve", "1%")
        )
        app = wsgi.loadapp(path, global_conf={"log_name": log_name})
        # Without SO_REUSEPORT, which Swift and eventlet would set: a port in use must be an error.
        listener = eventlet.listen(
            ("127.0.0.1", at[server]), backlog=BACKLOG, reuse_addr=True, reuse_port=False
        )
        eventlet.spawn(_serve_one, eventlet, wsgi, utils, listener, app, options.client_timeout)

    # At once: what a request wrote is on disk before it is answered, and nothing else is owed.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    eventlet.hubs.get_hub().switch()


def _serve_one(
    eventlet: Any,
    wsgi: Any,
    utils: Any,
    listener: Any,
    app: Any,
    client_timeout: int,
) -> None:
    eventlet.wsgi.server(
        listener,
        app,
        utils.NullLogger(),
        custom_pool=eventlet.GreenPool(REQUESTS_AT_ONCE),
        protocol=wsgi.SwiftHttpProtocol,
        socket_timeout=client_timeout,
        capitalize_response_headers=False,
        url_length_limit=8192,
        log_output=False,
    )


def main() -> None:
    """Run on the folder named, until SIGTERM."""
    parser = argparse.ArgumentParser(description="OpenStack Swift on loopback in one data folder.")
    parser.add_argument("folder", type=Path)
    folder = DataFolder(parser.parse_args().folder)
    told = os.environ.pop("SNAPPORT_SWIFT_OPTIONS", "")
    at, options = json.loads(told) if told else (swift_config.ports(folder), {})
    serve(folder, at, SwiftOptions(**options))


if __name__ == "__main__":
    main()
