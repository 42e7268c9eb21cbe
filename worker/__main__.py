"""`python -m worker --host NAME`: the worker of one host."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from portal.domain.errors import SnapportError
from portal.logs import set_up_logs
from portal.services import leases
from portal.settings import Settings
from portal.work import Runtime
from worker.filesystems.scratch import clear_leftovers
from worker.horse import HostWorker

log = structlog.get_logger()


def main() -> int:
    """Work until told to stop; 1 with one line on standard error where it cannot begin."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--host", help="the name under which servers know this host")
    arguments = parser.parse_args()
    try:
        settings = Settings()
        set_up_logs(settings)
        host = arguments.host or settings.host
        with closing(Runtime.open(settings)) as runtime:
            with runtime.work() as work:
                leases.seen(work, host)
                work.commit()
            clear_leftovers(settings, host)
            import worker.jobs  # noqa: F401  # once here, not again in each job's process

            log.info("worker begins", host=host)
            HostWorker(runtime, host).work(logging_level="WARNING")
            log.info("worker ends", host=host)
    except (SnapportError, RedisError, SQLAlchemyError) as error:
        reason = str(error) if isinstance(error, SnapportError) else type(error).__name__
        print(f"worker: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
