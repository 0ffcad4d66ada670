"""Requests in flight: unchanged retransmission, Identifiers, source ports, answers that are none (RFC 5176, 5080)."""

import pytest

from aaa.coa.exchange import FIRST_WAIT, IDENTIFIERS, SENDS, Datagram, Exchange
from aaa.coa.messages import Answer
from aaa.radius.integrity import Secret, access_reply, verify_signed_request
from aaa.radius.packet import (
    COA_ACK,
    COA_NAK,
    COA_REQUEST,
    DISCONNECT_ACK,
    DISCONNECT_REQUEST,
    ERROR_CAUSE,
    encode_attribute,
    parse,
)

NOW = 1_790_000_000_000_000
ROUTER = ("10.0.0.1", 3799)
SECRET = Secret(b"testing123")
ATTRIBUTES = encode_attribute(1, b"ali")


def started(exchange: Exchange, token: int = 1, code: int = COA_REQUEST, to: tuple[str, int] = ROUTER) -> Datagram:
    return exchange.start(token, to, SECRET, code, ATTRIBUTES, NOW, 0.0)


def answered(datagram: Datagram, code: int, error_cause: int | None = None, secret: Secret = SECRET) -> bytes:
    attributes = encode_attribute(ERROR_CAUSE, error_cause.to_bytes(4, "big")) if error_cause is not None else b""
    return access_reply(code, parse(datagram.data), secret, attributes)


def test_a_request_is_signed_with_message_authenticator() -> None:
    request = parse(started(Exchange()).data)
    assert request.code == COA_REQUEST
    assert request.attributes()[0][0] == 80
    assert verify_signed_request(request, SECRET) == 1


def test_rfc5176_2_3_a_retransmission_is_unchanged_and_leaves_from_the_same_port() -> None:
    exchange = Exchange()
    first = started(exchange)
    now, sent = NOW, [first]
    while exchange.next_timer() is not None:
        now = exchange.next_timer() or 0
        again, given_up = exchange.timers(now, 0.0)
        sent += again
        if given_up:
            break
    assert len(sent) == SENDS
    assert set(sent) == {first}
    assert (given_up[0].token, given_up[0].answer, given_up[0].sends) == (1, None, SENDS)
    assert len(exchange) == 0


def test_rfc5080_2_2_1_the_wait_doubles_and_jitters() -> None:
    exchange = Exchange()
    exchange.start(1, ROUTER, SECRET, COA_REQUEST, ATTRIBUTES, NOW, 0.1)
    due = exchange.next_timer()
    assert due == NOW + FIRST_WAIT * 11 // 10
    exchange.timers(due, -0.1)
    following = exchange.next_timer()
    assert following == due + FIRST_WAIT * 22 // 10 * 9 // 10


def test_nothing_is_sent_again_before_it_is_due() -> None:
    exchange = Exchange()
    started(exchange)
    assert exchange.timers(NOW + FIRST_WAIT - 1, 0.0) == ([], [])


@pytest.mark.parametrize(
    ("code", "error_cause", "answer"),
    [
        (COA_ACK, None, Answer("ack", None)),
        (COA_NAK, 401, Answer("nak", 401)),
        (COA_NAK, 503, Answer("nak", 503)),
        (COA_NAK, None, Answer("nak", None)),
    ],
)
def test_rfc5176_3_5_answers_carry_their_error_cause(code: int, error_cause: int | None, answer: Answer) -> None:
    exchange = Exchange()
    datagram = started(exchange, 9)
    done = exchange.receive(datagram.port, ROUTER, answered(datagram, code, error_cause))
    assert done is not None
    assert (done.token, done.answer, done.sends) == (9, answer, 1)
    assert answer.gone == (error_cause == 503)
    assert exchange.timers(NOW + 10**9, 0.0) == ([], [])


def test_an_answer_that_is_not_proven_is_dropped_and_counted() -> None:
    exchange = Exchange()
    datagram = started(exchange)
    wrong = [
        (datagram.port, ROUTER, answered(datagram, COA_ACK, secret=Secret(b"another")), "authenticator"),
        (datagram.port, ROUTER, answered(datagram, DISCONNECT_ACK), "code"),
        (datagram.port, ("10.0.0.2", 3799), answered(datagram, COA_ACK), "unexpected"),
        (datagram.port + 1, ROUTER, answered(datagram, COA_ACK), "unexpected"),
        (datagram.port, ROUTER, b"\0", "truncated"),
    ]
    for port, source, data, cause in wrong:
        before = exchange.dropped[cause]
        assert exchange.receive(port, source, data) is None
        assert exchange.dropped[cause] == before + 1
    assert exchange.receive(datagram.port, ROUTER, answered(datagram, COA_ACK)) is not None


def test_a_second_answer_to_one_request_is_dropped() -> None:
    exchange = Exchange()
    datagram = started(exchange)
    reply = answered(datagram, COA_ACK)
    assert exchange.receive(datagram.port, ROUTER, reply) is not None
    assert exchange.receive(datagram.port, ROUTER, reply) is None


def test_every_256_requests_to_a_router_take_one_more_source_port() -> None:
    exchange = Exchange()
    places = [started(exchange, token) for token in range(2 * IDENTIFIERS + 1)]
    used = {(place.port, place.data[1]) for place in places}
    assert len(used) == len(places)
    assert {place.port for place in places} == {0, 1, 2}
    assert started(exchange, 10_000, to=("10.0.0.9", 3799)).port == 0


def test_an_identifier_rests_before_it_is_used_again() -> None:
    exchange = Exchange()
    seen = []
    for token in range(IDENTIFIERS):
        datagram = started(exchange, token)
        exchange.receive(datagram.port, ROUTER, answered(datagram, COA_ACK))
        seen.append(datagram.data[1])
    assert sorted(seen) == list(range(IDENTIFIERS))


def test_a_cancelled_request_is_forgotten() -> None:
    exchange = Exchange()
    datagram = started(exchange, 1, DISCONNECT_REQUEST)
    assert exchange.cancel(1) == 1
    assert exchange.cancel(1) == 0
    assert exchange.timers(NOW + 10**9, 0.0) == ([], [])
    assert exchange.receive(datagram.port, ROUTER, answered(datagram, DISCONNECT_ACK)) is None
    assert started(exchange, 1).data[1] != datagram.data[1]


def test_a_token_is_in_flight_once() -> None:
    exchange = Exchange()
    started(exchange)
    with pytest.raises(ValueError, match="in flight"):
        started(exchange)
