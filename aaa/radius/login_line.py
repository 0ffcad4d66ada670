"""One login as one line of the log. Pure, and on the login path."""

import json
from typing import Final

from aaa.domain.timeline import Verdict
from aaa.radius.packet import ACCESS_ACCEPT

_VERDICTS: Final = tuple([f" verdict={verdict.word}" for verdict in Verdict])


def word(text: str) -> str:
    """A value as it stands in a log line: quoted, its control characters escaped, unless it is one plain word."""
    if text.isprintable() and text and " " not in text and '"' not in text and "=" not in text:
        return text
    return json.dumps(text)


def text_of(octets: bytes) -> str:
    """What a router sent, as text; octets that are no UTF-8 are shown escaped."""
    return octets.decode("utf-8", "backslashreplace")


def line(
    moment: str,
    username: bytes,
    nas: str,
    calling: bytes,
    code: int,
    verdict: int,
    cause: str,
    detail: str,
    past_horizon: bool,
) -> str:
    """Who, from which router and device, the reply's `code`, the verdict (-1: none), its cause, figures and scope."""
    told = f"{moment} login user={word(text_of(username))} nas={word(nas)}"
    if calling:
        told += f" calling={word(text_of(calling))}"
    told += " result=accept" if code == ACCESS_ACCEPT else " result=reject"
    if verdict >= 0:
        told += _VERDICTS[verdict]
    if cause:
        told += f" cause={cause}"
    if detail:
        told += f" {detail}"
    if past_horizon:
        told += " past_horizon=yes"
    return told + "\n"
