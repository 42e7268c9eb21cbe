"""What every command stands on: the open portal, and errors that end it with one line and a code.

What must always hold:
- A person reads one line on the standard error, never a traceback (`SNAPPORT_DEBUG=1` shows it).
- The standard output carries the answer and nothing else: logs go to a file.
- Commands act as support: whoever may run them holds the key and the database already.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from flask import current_app
from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)

from portal.commands.exits import Exit, code_of
from portal.commands.journal import journal_path, open_journal
from portal.commands.table import printable
from portal.domain.errors import SnapportError
from portal.services.authority import Actor
from portal.settings import Settings
from portal.work import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal.work import Work

SUPPORT = Actor.support()


class Failed(click.ClickException):
    """Ends a command: one line for the person, a code for the script."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(printable(" ".join(message.split())))
        self.exit_code = int(code)  # type: ignore[misc]  # click's own subclasses do so


class PortalCommand(click.Command):
    """A command whose errors are one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line."""
        with told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with told():
            return super().invoke(ctx)


class PortalGroup(click.Group):
    """A noun of the command line; its verbs are `PortalCommand`s."""

    command_class = PortalCommand

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line."""
        with told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Find the verb and run it."""
        with told():
            return super().invoke(ctx)


def load_settings() -> Settings:
    """The settings, or `Failed` naming the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "SNAPPORT_" + "_".join(str(place) for place in first["loc"]).upper()
        raise Failed(f"{name} is wrong: {first['msg']}.", Exit.MISCONFIGURED) from error


@contextmanager
def open_runtime() -> Iterator[Runtime]:
    """The application's runtime where a command runs inside of one, else a fresh one."""
    if current_app and isinstance(found := current_app.extensions.get("snapport"), Runtime):
        open_journal(found.settings)
        yield found
        return
    settings = load_settings()
    open_journal(settings)
    runtime = _open(settings)
    try:
        yield runtime
    finally:
        runtime.close()


def _open(settings: Settings) -> Runtime:
    try:
        return Runtime.open(settings)
    except (ArgumentError, ImportError) as error:
        _debug()
        raise Failed(
            "SNAPPORT_DATABASE_URL is wrong: it is like postgresql+psycopg://user@host/name.",
            Exit.MISCONFIGURED,
        ) from error
    except OSError as error:
        _debug()
        raise Failed(
            f"The data folder {settings.data} cannot be used: {error.strerror}.",
            Exit.MISCONFIGURED,
        ) from error
    except ValueError as error:
        _debug()
        raise Failed(
            "SNAPPORT_REDIS_URL is wrong: it is like redis://:password@host:6379/0.",
            Exit.MISCONFIGURED,
        ) from error


@contextmanager
def open_work() -> Iterator[Work]:
    """A unit of work; the command commits."""
    with open_runtime() as runtime, runtime.work() as work:
        yield work


@contextmanager
def told() -> Iterator[None]:
    """Turn what goes wrong inside into `Failed`."""
    try:
        yield
    except (Failed, BrokenPipeError, click.exceptions.NoArgsIsHelpError):
        raise
    except click.UsageError as error:
        raise Failed(_usage(error), Exit.USAGE) from error
    except SnapportError as error:
        _debug()
        raise Failed(error.message, code_of(error)) from error
    except DBAPIError as error:
        _debug()
        raise _database(error) from error
    except RedisError as error:
        _debug()
        raise Failed("Redis cannot be reached.", Exit.UNREACHABLE) from error
    except PermissionError as error:
        _debug()
        where = f" {error.filename}" if error.filename else ""
        raise Failed(f"No permission for{where}: run this as Snapport's user.") from error
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt as error:
        raise Failed("Interrupted.", Exit.INTERRUPTED) from error
    except Exception as error:
        raise _unexpected(error) from error


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".?")
    return f"{message}. See: {error.ctx.command_path} --help" if error.ctx else f"{message}."


def _database(error: DBAPIError) -> Failed:
    reason = " ".join(str(error.orig).split()).rstrip(".?! ")
    if "no such table" in reason or (
        isinstance(error, ProgrammingError) and "does not exist" in reason
    ):
        return Failed(
            "The database is not set up for this version: run “flask database upgrade”.",
            Exit.MISCONFIGURED,
        )
    if isinstance(error, (OperationalError, InterfaceError)):
        return Failed(f"The database does not answer: {reason[:200]}.", Exit.UNREACHABLE)
    return _unexpected(error)


def _unexpected(error: Exception) -> Failed:
    _debug()
    where = journal_path()
    noted = _note(where, error) if where is not None else False
    more = f"the details are in {where}" if noted else "SNAPPORT_DEBUG=1 shows the details"
    return Failed(f"Something unexpected happened ({type(error).__name__}); {more}.")


def _note(where: os.PathLike[str], error: Exception) -> bool:
    try:
        with open(where, "a", encoding="utf-8", errors="replace") as journal:  # noqa: PTH123
            journal.write("".join(traceback.format_exception(error)))
    except OSError:
        return False
    return True


def _debug() -> None:
    if os.environ.get("SNAPPORT_DEBUG") == "1":
        traceback.print_exc(file=sys.stderr)
