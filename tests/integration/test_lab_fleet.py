"""The fleet of light routers: many answer from one thread, and count."""

import selectors
import socket
import threading
import time
from functools import partial

from aaa.radius.integrity import MA_VALID, Secret, signed_request, verify_reply
from aaa.radius.packet import COA_ACK, COA_NAK, COA_REQUEST, DISCONNECT_ACK, DISCONNECT_NAK, DISCONNECT_REQUEST, parse
from ledgate.lab.dynamic import told
from ledgate.lab.fleet import Fleet
from tests.integration.lab import KEY, NAMES, SECRET
from tests.integration.serving import until

WHO = (("User-Name", "eve"), ("Acct-Session-Id", "80000001"))


def request(code: int, identifier: int, *more: tuple[str, object], secret: Secret = KEY) -> bytes:
    return signed_request(code, identifier, secret, NAMES.encode_profile([*WHO, *more]))


def asked(data: bytes, port: int, wait: float = 2.0) -> tuple[int, object] | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(wait)
        out.sendto(data, ("127.0.0.1", port))
        try:
            reply = parse(out.recv(4096))
        except TimeoutError:
            return None
    assert verify_reply(reply, data[4:20], KEY) == MA_VALID
    return reply.code, told(NAMES, reply).get("Error-Cause")


def has_taken(fleet: Fleet, count: int) -> bool:
    return fleet.requests > count


def test_two_hundred_routers_answer_from_one_thread() -> None:
    before = threading.active_count()
    with Fleet(["127.0.0.1"] * 200, SECRET) as fleet:
        assert threading.active_count() == before + 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out, selectors.DefaultSelector() as ready:
            ready.register(out, selectors.EVENT_READ)
            for number, router in enumerate(fleet.routers):
                named = request(COA_REQUEST, number, ("NAS-Identifier", router.identifier))
                out.sendto(named, ("127.0.0.1", router.port))
            codes: list[int] = []
            while len(codes) < 200 and ready.select(2.0):
                codes.append(parse(out.recv(4096)).code)
        assert codes == [COA_ACK] * 200
        assert [router.requests for router in fleet.routers] == [1] * 200
        assert fleet.requests == 200 and fleet.last_at <= time.monotonic()


def test_a_light_router_knows_its_sessions_and_its_name() -> None:
    with Fleet(["127.0.0.1"], SECRET) as fleet:
        (router,) = fleet.routers
        router.sessions = {"80000001"}
        other = request(COA_REQUEST, 1, ("NAS-Identifier", "mt9"))
        assert asked(other, router.port) == (COA_NAK, "NAS-Identification-Mismatch")
        assert asked(request(DISCONNECT_REQUEST, 2), router.port) == (DISCONNECT_ACK, None)
        assert asked(request(DISCONNECT_REQUEST, 3), router.port) == (DISCONNECT_NAK, "Session-Context-Not-Found")
        assert asked(request(COA_REQUEST, 4, secret=Secret(b"wrong")), router.port, 0.1) is None
        assert (router.acks, router.naks, router.requests, router.strangers) == (1, 2, 3, 1)


def test_a_request_that_comes_again_is_answered_again_and_counted_apart() -> None:
    with Fleet(["127.0.0.1"], SECRET) as fleet, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        (router,) = fleet.routers
        router.sessions = {"80000001"}
        data = request(DISCONNECT_REQUEST, 7)
        out.settimeout(2.0)
        answers = []
        for _ in range(2):
            out.sendto(data, ("127.0.0.1", router.port))
            answers.append(out.recv(4096))
        assert answers[0] == answers[1]
        assert (router.requests, router.repeats, router.acks) == (1, 1, 1)


def test_a_fleet_can_refuse_be_silent_and_lose() -> None:
    with Fleet(["127.0.0.1"], SECRET, seed=1) as fleet:
        (router,) = fleet.routers
        fleet.behaviour.coa = "nak"
        fleet.behaviour.error_cause = 506
        assert asked(request(COA_REQUEST, 1), router.port) == (COA_NAK, "Resources-Unavailable")
        fleet.behaviour.coa = "silent"
        assert asked(request(COA_REQUEST, 2), router.port, 0.1) is None
        fleet.behaviour.coa = "ack"
        fleet.behaviour.drop = 1.0
        assert asked(request(COA_REQUEST, 3), router.port, 0.1) is None
        assert router.requests == 2


def test_a_fleet_is_faster_than_what_it_measures() -> None:
    """Alone on a core it answers more than 10,000 a second; here, beside other tests, it must reach a part of that."""
    with Fleet(["127.0.0.1"] * 8, SECRET) as fleet:
        data = [request(COA_REQUEST, number % 256, ("Reply-Message", str(number))) for number in range(4000)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            began = time.monotonic()
            for number, one in enumerate(data):
                out.sendto(one, ("127.0.0.1", fleet.routers[number % 8].port))
                if number % 256 == 255:
                    until(partial(has_taken, fleet, number - 512), "the fleet keeps up")
            until(lambda: fleet.requests == 4000, "all have come")
        assert 4000 / (fleet.last_at - began) > 1500
