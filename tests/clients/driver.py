"""Lets a client do what is asked for on standard input, one JSON object a line, and answers likewise."""

import json
import sys
from typing import Any


class Refused(Exception):
    """The router's !trap, in its words."""


def drive(client: Any) -> None:
    """`{"do": METHOD, …}` calls the client's method with the rest; the answer is `{"ok": …}` or `{"trap": message}`."""
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"ok": getattr(client, asked.pop("do"))(**asked)}
        except Refused as refused:
            answer = {"trap": str(refused)}
        print(json.dumps(answer), flush=True)
