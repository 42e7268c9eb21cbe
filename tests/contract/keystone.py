"""A customer's account in a real Keystone, and a real Swift that believes it."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import sys
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from portal.embedded import swift_config
from portal.embedded.child import Program, running
from portal.embedded.folder import DataFolder
from tests.contract.keystone_service import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "pass word/of: the tests%é"
ADMIN = "admin-of-the-tests"


@dataclass(frozen=True)
class Customer:
    """Who signs in to which project; all names are as odd as Keystone allows."""

    user: str
    password: str
    project: str
    project_id: str
    user_id: str


class Keystone:
    """The identity service's own interface, as its administrator."""

    def __init__(self, port: int, swift_port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.swift_port = swift_port
        self._token = self._sign_in(
            {"user": {"name": "admin", "domain": {"id": "default"}, "password": ADMIN}},
            {"project": {"name": "admin", "domain": {"id": "default"}}},
        )
        self._numbers = itertools.count()

    def set_up(self) -> None:
        """The service user of Swift, and Swift in the catalogue."""
        service = self.add("projects", "project", name="service", domain_id="default")
        user = self.add("users", "user", name="swift", password=ADMIN, domain_id="default")
        self.grant(service["id"], user["id"], "admin")
        swift = self.add("services", "service", name="swift", type="object-store")
        self.add(
            "endpoints",
            "endpoint",
            interface="public",
            region_id=REGION,
            service_id=swift["id"],
            url=f"http://127.0.0.1:{self.swift_port}/v1/AUTH_%(project_id)s",
        )

    def customer(self, role: str = "member") -> Customer:
        """A user with a project of its own."""
        number = next(self._numbers)
        project = self.add("projects", "project", name=f"Projekt ü {number}", domain_id="default")
        user = self.add(
            "users", "user", name=f"cust: omer/{number}", password=PASSWORD, domain_id="default"
        )
        if role:
            self.grant(project["id"], user["id"], role)
        return Customer(user["name"], PASSWORD, project["name"], project["id"], user["id"])

    def application_credential(self, customer: Customer) -> tuple[str, str]:
        """Id and secret of a credential that the customer makes for a program."""
        password = {"user": {"id": customer.user_id, "password": customer.password}}
        token = self._sign_in(password, {"project": {"id": customer.project_id}})
        made = self._call(
            "POST",
            f"/users/{customer.user_id}/application_credentials",
            {"application_credential": {"name": "snapport"}},
            token,
        )["application_credential"]
        return made["id"], made["secret"]

    def revoke(self, token: str) -> None:
        """Make a token worthless at once."""
        self._call("DELETE", "/auth/tokens", None, self._token, {"X-Subject-Token": token})

    def change_password(self, customer: Customer, password: str) -> None:
        """As an administrator does; revokes the user's tokens."""
        path = f"/users/{customer.user_id}"
        self._call("PATCH", path, {"user": {"password": password}}, self._token)

    def add(self, path: str, kind: str, **values: Any) -> dict[str, Any]:
        """Make a thing; the thing."""
        return self._call("POST", f"/{path}", {kind: values}, self._token)[kind]

    def grant(self, project: str, user: str, role: str) -> None:
        """Give the user a role in the project."""
        found = self._call("GET", f"/roles?name={role}", None, self._token)["roles"][0]["id"]
        self._call("PUT", f"/projects/{project}/users/{user}/roles/{found}", None, self._token)

    def _sign_in(self, password: dict[str, Any], scope: dict[str, Any]) -> str:
        body = {
            "auth": {"identity": {"methods": ["password"], "password": password}, "scope": scope}
        }
        request = urllib.request.Request(
            f"{self.address}/v3/auth/tokens",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.headers["X-Subject-Token"]

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        token: str,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.address}/v3{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-Auth-Token": token, **(headers or {})},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")


@contextlib.contextmanager
def running_keystone(path: Path) -> Iterator[Keystone]:
    """Keystone and a Swift of its own, in a folder, for as long as the block lasts."""
    folder = DataFolder(path)
    folder.make()
    port = folder.ports("keystone")["keystone"]
    ports = swift_config.ports(folder)

    def program(name: str, address: str, *arguments: str) -> Program:
        def answers() -> bool:
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:
                    return answer.status < 400
            except OSError:
                return False

        return Program(
            name,
            [sys.executable, "-m", f"tests.contract.{name}", str(folder.path), *arguments],
            folder.log / f"{name}.log",
            ready=answers,
            death_signal=signal.SIGKILL,
        )

    identity = program("keystone_service", f"http://127.0.0.1:{port}/v3", str(port), ADMIN)
    proxy = f"http://127.0.0.1:{ports['proxy']}/healthcheck"
    with running(identity):
        keystone = Keystone(port, ports["proxy"])
        keystone.set_up()
        with running(program("swift_with_keystone", proxy, str(port), ADMIN)):
            yield keystone
