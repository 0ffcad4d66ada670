"""How a fake router behaves, and misbehaves. Pure."""

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class Behaviour:
    """How the router meets CoA and Disconnect, and those who use its API; may be changed at any time.

    The next `lose_requests` datagrams never reach it, the next `lose_answers` answers never leave it. A refusal (`nak`)
    carries `error_cause`. With `redial` a disconnected subscriber dials again after 200 ms, as CPEs do.

    `drop` is the part of all its datagrams, RADIUS and CoA, in both directions, that is lost (0.0 to 1.0).
    `slow_ms`: it takes that long over each CoA or Disconnect. `lie`: it acknowledges these and does nothing.
    `takes_address_list`: a CoA may change Mikrotik-Address-List (no version is known to).
    `counts_timeout_from`: what a Session-Timeout of a CoA counts from, which no manual says.
    `clock_offset`: seconds by which its clock is ahead. `says_hello`: it sends Accounting-On when it has started.

    `reachable`: its /ping and /tool/fetch find whom they look for.

    `api_down`: connections to the API are cut and no new ones stand. `api_slow_ms`: each command takes that long.
    `api_close_after`: a connection is cut after so many sentences. `api_refuses`: nobody may log in.
    """

    coa: Literal["ack", "nak", "silent"] = "ack"
    disconnect: Literal["ack", "nak", "silent"] = "ack"
    error_cause: int | None = None
    lose_requests: int = 0
    lose_answers: int = 0
    redial: bool = False
    drop: float = 0.0
    slow_ms: int = 0
    lie: Literal["no", "coa", "disconnect", "both"] = "no"
    takes_address_list: bool = False
    counts_timeout_from: Literal["start", "now"] = "start"
    clock_offset: int = 0
    says_hello: bool = True
    reachable: bool = True
    api_down: bool = False
    api_slow_ms: int = 0
    api_close_after: int | None = None
    api_refuses: bool = False
