"""What the tests of debit control share: a day, a check of attributes, drawn facts, and an oracle written apart."""

from dataclasses import dataclass

from hypothesis import strategies as st

from aaa.debit.controls.debit_control import DebitControl, debit_control
from aaa.debit.controls.definitions import Definitions
from aaa.debit.controls.finish_rule import FinishRule, finish_rule
from aaa.debit.policy import Policy, resolve_policy
from aaa.domain.service import SERVER, Level, Param, Scope, Service, Status
from aaa.domain.standing import Due, Standing
from aaa.domain.timeline import Cause, Profile, Verdict

SECOND = 1_000_000
DAY = 86_400 * SECOND

SERVICE = Service(1, 7, "ali", "tehran", "IRR", "Asia/Tehran")
VISP = Scope(Level.VISP, "tehran")
USER = Scope(Level.USER, "ali")
# One scope on every level, weakest first.
SCOPES = (
    SERVER,
    Scope(Level.CENTER, "north"),
    VISP,
    Scope(Level.RESELLER, "shop"),
    Scope(Level.PLAN, "home20"),
    Scope(Level.CLASS, "family"),
    USER,
)


def check_attribute(name: str, value: object) -> None:
    """Stands for the dictionary's check: knows names with a hyphen, takes text and numbers."""
    if "-" not in name:
        raise ValueError(f"{name}: no such attribute")
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, int | str) or isinstance(one, bool):
            raise ValueError(f"{name}: must be text or a number")


def control(name: str = "Home-Users", /, **limits: int | str | None) -> DebitControl:
    return debit_control(name, limits)


def rule(name: str = "garden", **actions: object) -> FinishRule:
    return finish_rule(name, actions, check_attribute)


def policy(
    debit: DebitControl | None = None,
    finish: FinishRule | None = None,
    *params: Param,
    plan_reply: Profile = (),
) -> Policy:
    """A policy with these controls, if any, set on the server."""
    found = list(params)
    if debit is not None:
        found.append(Param(SERVER, "DebitControl", debit.name))
    if finish is not None:
        found.append(Param(SERVER, "FinishRule", finish.name))
    definitions = Definitions(
        {debit.name: debit} if debit is not None else {}, {finish.name: finish} if finish is not None else {}
    )
    return resolve_policy(found, definitions, currency="IRR", plan="home20", plan_reply=plan_reply)


def owing(
    debt: int, since: int = 0, paid: int | None = None, due: int | None = None, promise: int | None = None
) -> Standing:
    """A standing with one uncovered charge."""
    dues = (Due(1, since if due is None else due, debt),) if debt else ()
    return Standing(7, "IRR", 1, debt, 0, paid, since if debt else None, dues, promise)


# --- drawn facts -----------------------------------------------------------------------------------------------------

CONTROLS = {
    "none": control("none"),
    "prepaid": control("prepaid", max_debt=0),
    "home": control("home", max_debt=1000, max_delay=30 * 86_400),
    "short": control("short", max_delay=3 * 86_400, anchor="oldest_unpaid"),
    "both": control("both", max_debt=500, max_delay=86_400, anchor="oldest_unpaid"),
}
RULES = {
    "nothing": rule("nothing"),
    "garden": rule("garden", debit={"restrict": {"pool": "finish"}}, expire={"restrict": {"address_list": "ended"}}),
    "mixed": rule("mixed", debit={"restrict": {"address_list": "overdue"}}, expire="deny"),
}
DEFINITIONS = Definitions(CONTROLS, RULES)

instants = st.builds(lambda day, off: day * DAY + off, st.integers(-80, 80), st.sampled_from((-1, 0, 1, DAY // 2)))


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    dues = sorted(draw(st.lists(st.tuples(instants, st.integers(1, 900)), max_size=3)))
    debt = sum(remaining for _, remaining in dues)
    return Standing(
        7,
        "IRR",
        draw(st.integers(0, 9)),
        debt,
        0 if debt else draw(st.integers(0, 500)),
        draw(st.none() | instants),
        draw(instants) if debt else None,
        tuple(Due(number, at, remaining) for number, (at, remaining) in enumerate(dues)),
        draw(st.none() | instants),
    )


@st.composite
def params(draw: st.DrawFn) -> tuple[Param, ...]:
    """At most one param of a name on a scope, in any order."""
    found = []
    for name, known in (("DebitControl", sorted(CONTROLS)), ("FinishRule", sorted(RULES))):
        for scope in draw(st.sets(st.sampled_from(SCOPES))):
            found.append(Param(scope, name, draw(st.sampled_from(known)), draw(st.sampled_from(Status))))
    return tuple(draw(st.permutations(found)))


@dataclass(frozen=True)
class Facts:
    """Everything a verdict depends on but the time."""

    params: tuple[Param, ...]
    service: Service
    standing: Standing

    @property
    def policy(self) -> Policy:
        return resolve_policy(self.params, DEFINITIONS, currency="IRR")


services = st.builds(
    lambda active_to, static_ip: Service(
        1, 7, "ali", "tehran", "IRR", "Asia/Tehran", static_ip=static_ip, active_to=active_to
    ),
    st.none() | instants,
    st.sampled_from((None, "192.0.2.7")),
)
facts = st.builds(Facts, params(), services, standings())


# --- the oracle ------------------------------------------------------------------------------------------------------


def value_of(name: str, params: tuple[Param, ...]) -> str | None:
    """The value that counts, by walking the scopes the other way round than the product does."""
    alive = {param.scope.level: param for param in params if param.name == name and param.status != "disabled"}
    final = [level for level in alive if alive[level].status == "passthrough-no"]
    speaking = min(final) if final else max(alive, default=None)
    return alive[speaking].value if speaking is not None else None


def verdict_at(facts: Facts, at: int) -> tuple[Verdict, Cause | None]:
    """The verdict and cause at one instant, straight from the rules."""
    cause = None
    if debt_blocks(facts, at):
        cause = Cause.DEBIT
    elif facts.service.active_to is not None and at >= facts.service.active_to:
        cause = Cause.EXPIRE
    if cause is None:
        return Verdict.ALLOW, None
    restricts = {"garden": {Cause.DEBIT, Cause.EXPIRE}, "mixed": {Cause.DEBIT}}
    garden = restricts.get(value_of("FinishRule", facts.params) or "", set())
    return (Verdict.RESTRICT if cause in garden else Verdict.DENY), cause


def debt_blocks(facts: Facts, at: int) -> bool:
    name, standing = value_of("DebitControl", facts.params), facts.standing
    if name is None or standing.debt == 0:
        return False
    if standing.promise_until is not None and at < standing.promise_until:
        return False
    limits = CONTROLS[name]
    if limits.max_debt is not None and standing.debt >= limits.max_debt:
        return True
    if limits.max_delay is None:
        return False
    if limits.anchor == "oldest_unpaid":
        begun = min(due.due_at for due in standing.dues)
    else:
        assert standing.debt_since is not None
        begun = max([standing.debt_since] + ([] if standing.last_payment_at is None else [standing.last_payment_at]))
    return (at - begun) // SECOND >= limits.max_delay
