"""Who is asking: user names and realms, passwords, MAC addresses, the caller-id lock."""

import pytest

from aaa.domain.mac import spellings
from aaa.domain.method import BITS, mask
from aaa.radius import credentials
from aaa.radius.access import ACCEPT, REJECT, Answer
from aaa.radius.packet import SERVICE_TYPE, USER_PASSWORD, encode_attribute, parse
from aaa.radius.peer import proves_password
from tests.unit.radius.logins import HOTSPOT, NAMES, PPP, World, told

METHODS = ("pap", "chap", "mschap", "mschapv2")
MAC = "02:AB:CD:EF:01:23"
SPELLINGS = [
    "02:AB:CD:EF:01:23",
    "02-AB-CD-EF-01-23",
    "02 AB CD EF 01 23",
    "02ABCDEF0123",
    "02ABCD:EF0123",
    "02ABCD-EF0123",
    "02AB:CDEF:0123",
]


def world(**service: object) -> World:
    made = World(realms={b"tehran.example": 1, b"brno.example": 2})
    made.add(**service)  # type: ignore[arg-type]
    return made


def outcome(answer: Answer) -> tuple[int, str]:
    return answer.kind, answer.cause


@pytest.mark.parametrize("method", METHODS)
def test_the_right_password_is_accepted_and_a_wrong_one_rejected(method: str) -> None:
    made = world()
    assert outcome(made.login("ali", "secret", method)) == (ACCEPT, "")
    assert outcome(made.login("ali", "Secret", method)) == (REJECT, "wrong-password")
    assert outcome(made.login("ali", "secret\0", method))[0] == (ACCEPT if method == "pap" else REJECT)


@pytest.mark.parametrize("method", METHODS)
def test_a_rejected_subscriber_cannot_tell_a_wrong_name_from_a_wrong_password(method: str) -> None:
    made = world()
    unknown, wrong = made.login("nobody", "secret", method), made.login("ali", "wrong", method)
    assert (outcome(unknown), outcome(wrong)) == ((REJECT, "unknown-user"), (REJECT, "wrong-password"))
    assert told(unknown.reply)["Reply-Message"] == told(wrong.reply)["Reply-Message"]
    assert list(told(unknown.reply)) == list(told(wrong.reply))
    assert len(unknown.reply) == len(wrong.reply)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stored", ["", "secret"])
def test_a_blank_password_never_matches(method: str, stored: str) -> None:
    made = world(password=stored)
    assert outcome(made.login("ali", "", method)) == (REJECT, "wrong-password")
    assert outcome(made.login("ali", "", method, more=HOTSPOT)) == (REJECT, "wrong-password")


def test_rfc2759_5_an_accept_proves_that_the_server_knows_the_password_too() -> None:
    made = world()
    request = made.request("ali", "secret", "mschapv2")
    reply = parse(made.send(request).reply)
    assert proves_password(reply, parse(request), b"secret")
    names = told(reply.data)
    assert "MS-MPPE-Send-Key" in names
    assert "MS-MPPE-Recv-Key" in names


@pytest.mark.parametrize(("method", "prefix"), [("mschap", "E=691 R=0"), ("mschapv2", "E=691 R=0 C=")])
def test_rfc2759_6_a_reject_carries_ms_chap_error(method: str, prefix: str) -> None:
    answer = world().login("ali", "wrong", method)
    error = str(told(answer.reply)["MS-CHAP-Error"][0])
    assert prefix in (error if not error.startswith("0x") else bytes.fromhex(error[2:])[1:].decode())


def test_a_domain_before_the_name_counts_only_with_ms_chap() -> None:
    made = world()
    assert made.login(b"OFFICE\\ali", "secret", "mschapv2").kind == ACCEPT
    assert made.login(b"OFFICE\\ali", "secret", "mschap").kind == ACCEPT
    assert outcome(made.login(b"OFFICE\\ali", "secret", "pap")) == (REJECT, "unknown-user")


def test_the_realm_chooses_the_visp() -> None:
    made = world(visp=1, number=1)
    made.add("ali", "tajny", visp=2, number=2)
    assert made.login("ali@tehran.example", "secret").service_id == 1
    assert made.login("ali@BRNO.Example", "tajny").service_id == 2
    assert outcome(made.login("ali@brno.example", "secret")) == (REJECT, "wrong-password")


def test_a_bare_name_works_where_it_is_unambiguous() -> None:
    made = world(visp=1)
    assert made.login("ali").kind == ACCEPT
    made.add("ali", visp=2, number=8)
    answer = made.login("ali")
    assert outcome(answer) == (REJECT, "ambiguous-name")
    assert "name@realm" in str(told(answer.reply)["Reply-Message"])


def test_a_realm_that_is_no_visps_belongs_to_the_name() -> None:
    made = world(username="ali@mail.example")
    assert made.login("ali@mail.example").kind == ACCEPT
    assert made.login("ali@mail.example@tehran.example").kind == ACCEPT
    assert outcome(made.login("ali@mail.example@brno.example")) == (REJECT, "unknown-user")
    assert outcome(made.login("ali")) == (REJECT, "unknown-user")


HOTSPOT_ADDRESS = encode_attribute(8, bytes((10, 5, 50, 7)))


def test_a_name_that_is_no_text_is_unknown() -> None:
    answer = world().login(b"\xff\xfe\n", "secret")
    assert outcome(answer) == (REJECT, "unknown-user")


@pytest.mark.parametrize(
    ("more", "method", "cause"),
    [
        (b"", "none", "no-password"),
        (encode_attribute(USER_PASSWORD, bytes(16)), "chap", "no-password"),
        (encode_attribute(SERVICE_TYPE, b"\0\0\0\x11"), "pap", "authorize-only"),
        (encode_attribute(SERVICE_TYPE, b"\0\0\0\x06"), "pap", "administration"),
        (encode_attribute(SERVICE_TYPE, b"\0\0\0\x07"), "pap", "administration"),
        (encode_attribute(SERVICE_TYPE, b"\0\0\0\x01") + encode_attribute(31, b"192.0.2.9"), "pap", "administration"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_its_cause(more: bytes, method: str, cause: str) -> None:
    answer = world().login("ali", "secret", method, more=more)
    assert outcome(answer) == (REJECT, cause)
    assert told(answer.reply)["Reply-Message"]


@pytest.mark.parametrize(
    "more", [b"", encode_attribute(31, b"02:00:00:00:00:01"), encode_attribute(31, b"10.5.50.7") + HOTSPOT_ADDRESS]
)
def test_login_user_is_network_access_unless_an_administrator_calls(more: bytes) -> None:
    answer = world().login("ali", "secret", more=encode_attribute(SERVICE_TYPE, b"\0\0\0\x01") + more)
    assert answer.kind == ACCEPT


def test_a_request_without_a_name_is_refused() -> None:
    made = world()
    nameless = made.request("", "secret")
    assert outcome(made.send(nameless)) == (REJECT, "no-username")


# --- hotspot MAC authentication ---


def test_mikrotiks_seven_formats_are_all_known() -> None:
    assert [spelling.decode() for spelling in spellings(b"02abcdef0123")[:7]] == SPELLINGS
    assert spellings(b"02abcdef012") == spellings(b"02abcdef012g") == spellings("é".encode() * 6) == []


@pytest.mark.parametrize("stored", [MAC, "02abcd-ef0123"])
@pytest.mark.parametrize("method", ["pap", "chap"])
@pytest.mark.parametrize("sent", [*SPELLINGS, MAC.lower()])
def test_mac_authentication_in_every_spelling(sent: str, method: str, stored: str) -> None:
    made = world(username=stored, password="", mac_auth=True)
    assert outcome(made.login(sent, "", method, calling=MAC, more=HOTSPOT)) == (ACCEPT, "")


@pytest.mark.parametrize(
    ("mac_auth", "sent", "calling", "more"),
    [
        (False, MAC, MAC, HOTSPOT),  # the service is not marked
        (True, MAC, "02:AB:CD:EF:01:24", HOTSPOT),  # another device calls
        (True, MAC, "", HOTSPOT),  # nobody says who calls
        (True, MAC, MAC, PPP),
        (True, MAC, MAC, HOTSPOT + NAMES.encode("Framed-Protocol", "PPP")),
    ],
)
def test_mac_authentication_only_where_all_agree(mac_auth: bool, sent: str, calling: str, more: bytes) -> None:
    made = world(username=MAC, password="secret", mac_auth=mac_auth)
    assert outcome(made.login(sent, "", calling=calling, more=more)) == (REJECT, "wrong-password")
    assert outcome(made.login(sent, "secret", calling=calling, more=more)) == (ACCEPT, "")


def test_mac_authentication_takes_no_name_that_is_no_mac() -> None:
    made = world(username="ali", mac_auth=True)
    assert outcome(made.login("ali", "", calling=MAC, more=HOTSPOT)) == (REJECT, "wrong-password")


def test_mac_authentication_takes_a_blank_password_only_if_it_was_sent() -> None:
    made = world(username=MAC, mac_auth=True)
    assert outcome(made.login(MAC, "", "none", calling=MAC, more=HOTSPOT)) == (REJECT, "no-password")


def test_another_spelling_finds_only_services_marked_for_mac_authentication() -> None:
    made = world(username=MAC, password="secret", mac_auth=False)
    assert outcome(made.login("02abcdef0123", "secret")) == (REJECT, "unknown-user")
    assert outcome(made.login(MAC, "secret")) == (ACCEPT, "")


# --- allowed methods and routers (R1.4) ---


def test_r1_4_the_methods_that_records_and_params_know_are_those_that_are_verified() -> None:
    assert tuple(BITS) == credentials.METHODS == METHODS
    assert sorted(BITS.values()) == [1, 2, 4, 8]


@pytest.mark.parametrize("used", METHODS)
@pytest.mark.parametrize("allowed", [("pap",), ("chap", "mschapv2"), ("mschap",), METHODS, ()])
def test_r1_4_allowed_methods_let_in_who_uses_one_of_them(used: str, allowed: tuple[str, ...]) -> None:
    answer = world(allowed_methods=mask(allowed)).login(method=used)
    if used in allowed or not allowed:
        assert outcome(answer) == (ACCEPT, "")
    else:
        assert outcome(answer) == (REJECT, "allowed-methods")
        assert answer.detail == f"method={used}"


def test_r1_4_who_does_not_know_the_password_learns_nothing_of_methods_and_routers() -> None:
    made = world(allowed_methods=mask(["chap"]), allowed_nas=("elsewhere",))
    assert outcome(made.login("ali", "wrong")) == (REJECT, "wrong-password")


def test_r1_4_allowed_methods_do_not_keep_out_a_login_by_mac_address() -> None:
    made = world(username=MAC, mac_auth=True, allowed_methods=mask(["mschapv2"]))
    assert outcome(made.login(MAC, "", calling=MAC, more=HOTSPOT)) == (ACCEPT, "")
    assert outcome(made.login(MAC, "secret", calling=MAC, more=HOTSPOT)) == (REJECT, "allowed-methods")


@pytest.mark.parametrize(
    ("allowed", "let_in"),
    [((), True), (("mt1",), True), (("mt0", "mt1"), True), (("mt2",), False), (("mt", "mt11", "1"), False)],
)
def test_r1_4_allowed_nas_lets_in_from_these_routers_only(allowed: tuple[str, ...], let_in: bool) -> None:
    answer = world(allowed_nas=allowed).login()
    assert outcome(answer) == ((ACCEPT, "") if let_in else (REJECT, "allowed-nas"))


def test_r1_4_a_refused_method_or_router_takes_no_seat() -> None:
    for made in (
        world(allowed_methods=mask(["chap"]), simultaneous_use=1),
        world(allowed_nas=("mt2",), simultaneous_use=1),
    ):
        assert made.login().kind == REJECT
        assert made.taken == []


# --- caller-id lock ---


@pytest.mark.parametrize("calling", [MAC, "02-ab-cd-ef-01-23"])
def test_the_caller_id_lock_lets_its_device_in(calling: str) -> None:
    assert world(caller_lock=MAC).login(calling=calling).kind == ACCEPT


@pytest.mark.parametrize("calling", ["02:AB:CD:EF:01:24", "10.0.0.1", ""])
def test_the_caller_id_lock_keeps_others_out(calling: str) -> None:
    answer = world(caller_lock=MAC).login(calling=calling)
    assert outcome(answer) == (REJECT, "caller-id")
    assert answer.detail == f"locked_to={MAC}"
    # Who does not know the password learns nothing of the lock.
    assert outcome(world(caller_lock=MAC).login("ali", "wrong", calling=calling)) == (REJECT, "wrong-password")
