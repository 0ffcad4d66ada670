"""Who may use the API: login in clear (RouterOS 6.43 and later) and by challenge (before). Pure.

The challenge is 16 random octets; its answer 00 and, in hex, MD5 of a zero octet, the password and the challenge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5
from hmac import compare_digest
from typing import Final, Literal

from ledgate.lab.routeros.trap import Trap

Method = Literal["plain", "challenge"]


@dataclass(frozen=True, slots=True)
class User:
    """A user of the router. The group `read` may look, and change nothing."""

    name: str
    password: str
    group: Literal["full", "read"] = "full"

    def __repr__(self) -> str:
        return f"User({self.name!r}, {self.group!r})"


def log_in(
    users: Mapping[str, User], arguments: Mapping[str, str], method: Method, challenge: bytes, asked: bool
) -> User | None:
    """The user that proves to be who he says; None: he is to answer the challenge first. Raises Trap.

    `asked`: the challenge was sent. Routers before 6.43 send it whatever the first /login says.
    """
    answer = arguments.get("response")
    if method == "challenge":
        if answer is None or not asked:
            return None
    elif answer is not None or "name" not in arguments:
        raise _refused(method)
    user = users.get(arguments.get("name", ""))
    password = "" if user is None else user.password
    if method == "challenge":
        proven = compare_digest(str(answer).lower().encode(), response(password, challenge).encode())
    else:
        proven = compare_digest(arguments.get("password", "").encode("utf-8", "surrogateescape"), password.encode())
    if user is None or not proven:
        raise _refused(method)
    return user


def response(password: str, challenge: bytes) -> str:
    """The answer to a challenge."""
    return "00" + md5(b"\0" + password.encode() + challenge, usedforsecurity=False).hexdigest()


def _refused(method: Method) -> Trap:
    return Trap(REFUSED[method], None)


REFUSED: Final[Mapping[Method, str]] = {"plain": "invalid user name or password (6)", "challenge": "cannot log in"}
