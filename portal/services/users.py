"""Users: who signs in, and how a password is checked.

What must always hold: passwords are kept as argon2id hashes; a wrong e-mail address costs as much
time as a wrong password, so that addresses cannot be found out.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select

from portal.domain.errors import Conflict, InvalidInput, NotFound
from portal.records import Account, User
from portal.records.user import Role
from portal.services.authority import Actor, require_support

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.work import Work

PASSWORD_MIN = 10
PASSWORD_MAX = 1000
"""Hashing is linear in the length: a bound, so that a sign-in cannot be made dear."""


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    return _hasher().hash("nobody signs in with this")


def add(
    work: Work, actor: Actor, *, email: str, password: str, role: Role, account: Account | None
) -> User:
    """Add a user: for an account, or for support."""
    require_support(actor)
    email = _checked_email(email)
    _check_password(password)
    if role is Role.CUSTOMER and account is None:
        raise InvalidInput("A customer's user belongs to an account: name it.", field="account")
    if role is Role.SUPPORT and account is not None:
        raise InvalidInput("A support user belongs to no account.", field="account")
    if work.session.scalar(select(User.id).where(User.email == email)) is not None:
        raise Conflict(f"There is already a user {email}.")
    user = User(
        email=email,
        password_hash=_hasher().hash(password),
        role=role,
        account_id=account.id if account else None,
    )
    work.session.add(user)
    work.session.flush()
    return user


def authenticate(work: Work, email: str, password: str) -> User | None:
    """The user, if the password is theirs."""
    user = work.session.scalar(select(User).where(User.email == _normal_email(email)))
    stored = user.password_hash if user else _nobody()
    try:
        _hasher().verify(stored, password[: PASSWORD_MAX + 1])
    except (VerificationError, InvalidHashError):
        return None
    if user is not None and _hasher().check_needs_rehash(stored):
        user.password_hash = _hasher().hash(password)
    return user


def set_password(work: Work, user: User, password: str) -> None:
    """Change a password; ends every session of the user."""
    _check_password(password)
    user.password_hash = _hasher().hash(password)
    user.session_epoch += 1
    work.session.flush()


def change_password(work: Work, user: User, current: str, password: str) -> None:
    """Change one's own password: `InvalidInput` where the present one is not right."""
    if authenticate(work, user.email, current) is None:
        raise InvalidInput("That is not your present password.", field="current")
    set_password(work, user, password)


def signed_in(work: Work, user_id: int, epoch: int) -> User | None:
    """The user of a session, unless the session was ended."""
    user = work.session.get(User, user_id)
    return user if user is not None and user.session_epoch == epoch else None


def list_users(work: Work, actor: Actor) -> Sequence[User]:
    """All users, by e-mail; support only."""
    require_support(actor)
    return work.session.scalars(select(User).order_by(User.email)).all()


def find(work: Work, actor: Actor, email: str) -> User:
    """The user of this address, or `NotFound`; support only."""
    require_support(actor)
    user = work.session.scalar(select(User).where(User.email == _normal_email(email)))
    if user is None:
        raise NotFound(f"There is no user “{email}”.")
    return user


def _normal_email(email: str) -> str:
    return unicodedata.normalize("NFC", email).strip().lower()


def _checked_email(email: str) -> str:
    email = _normal_email(email)
    if len(email) > 254 or not re.fullmatch(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+", email):
        raise InvalidInput("That is not an e-mail address.", field="email")
    return email


def _check_password(password: str) -> None:
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise InvalidInput(
            f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.", field="password"
        )
