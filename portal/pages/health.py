"""`/health`, for load balancers and supervisors: says what works, and nothing that is secret.

503 without the database; without Redis the pages still work, so that is only said.
"""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, jsonify
from sqlalchemy.exc import SQLAlchemyError

from portal.pages import access
from portal.services import overview

log = structlog.get_logger()

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def show() -> tuple[Response, int]:
    """The state of what the portal stands on."""
    try:
        overview.check_database(access.work())
        database = True
    except SQLAlchemyError as error:
        log.warning("database failed", exc_info=error)
        database = False
    queue = access.runtime().queue.reachable()
    status = "ok" if database and queue else "degraded" if database else "down"
    answer = {"status": status, "database": database, "queue": queue}
    return jsonify(answer), 200 if database else 503


show.outside_sessions = True  # type: ignore[attr-defined]
