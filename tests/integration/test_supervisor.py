"""The supervisor: order of start, restarts, giving up, ending; with stand-ins for the roles, then with real ones."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledgate import config, supervisor
from ledgate.config import Settings
from tests.integration.serving import Installation, document, free_port, installation, running, subscriber, until

# Runs roles whose process is the program in argv[1], given role, index and where to note that it is ready.
SUPERVISE = """
import sys
from ledgate import config, supervisor
from ledgate.role import log_to_stderr, ready_file
log_to_stderr("ledgate")
settings = config.load()
def command(role, index):
    return [sys.executable, "-c", sys.argv[1], role, str(index), str(ready_file(settings, role, index))]
sys.exit(supervisor.run(settings, sys.argv[2:], command))
"""
READY = """
import os, pathlib, sys
file = pathlib.Path(sys.argv[3])
file.parent.mkdir(exist_ok=True)
with open(file.parent.parent / "starts", "a") as starts:
    starts.write(f"{sys.argv[1]}-{sys.argv[2]}\\n")
file.write_text(str(os.getpid()))
"""
SERVE = READY + "import signal; signal.sigwait({signal.SIGTERM}); sys.exit(0)"
BLOCK = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM});"


def start(made: Installation, program: str, *roles: str) -> "subprocess.Popen[bytes]":
    with (made.folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, BLOCK + program, *roles],
            env=made.environment,
            stdout=log,
            stderr=log,
        )


def make(tmp_path: Path, **settings: object) -> Installation:
    made = installation("sqlite:////nowhere/at.all", tmp_path / "ledgate", **settings)
    (made.folder / "log").touch()
    return made


def stop(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    return process.wait(20)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_gone(pid: int) -> None:
    until(lambda: gone(pid), f"the end of process {pid}", 5)


def wait_restart(made: Installation, role: str, index: int, killed: int) -> None:
    until(lambda: made.pid(role, index) not in (0, killed), f"the restart of {role}-{index}")


def test_roles_start_in_order_and_end_with_the_supervisor(tmp_path: Path) -> None:
    made = make(tmp_path, auth_processes=3)
    process = start(made, SERVE, "engine", "acct", "auth", "replica")
    until(lambda: "ledgate is ready" in made.log, "readiness")
    ready = next(line for line in made.log.splitlines() if "ledgate is ready" in line)
    assert f"authentication on UDP port {made.auth_port}" in ready
    assert f"accounting on UDP port {made.acct_port}" in ready
    assert "3 auth" in ready
    pids = [made.pid(role, index) for role, index in (("replica", 0), ("auth", 2), ("acct", 0), ("engine", 0))]
    assert all(pids)
    assert stop(process) == 0
    assert all(gone(pid) for pid in pids)
    assert made.log.count("ledgate is ready") == 1


def test_a_role_that_dies_is_restarted_at_once_and_then_ever_more_slowly(tmp_path: Path) -> None:
    made = make(tmp_path)
    process = start(made, SERVE, "auth", "engine")
    until(lambda: "ledgate is ready" in made.log, "readiness")
    other = made.pid("engine")
    pauses = []
    for _ in range(3):
        pid = made.pid("auth")
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_restart(made, "auth", 0, pid)
        pauses.append(time.monotonic() - began)
    assert pauses[0] < 0.5 <= pauses[1] < 1.0 <= pauses[2]
    assert made.pid("engine") == other
    assert stop(process) == 0
    assert made.log.count("auth-0 ended signal=SIGKILL") == 3


@pytest.mark.parametrize(("status", "starts"), [(2, 1), (1, 3)])
def test_a_role_that_cannot_start_ends_everything(tmp_path: Path, status: int, starts: int) -> None:
    made = make(tmp_path)
    program = f"""
import sys, time
open(sys.argv[3].rpartition('/run/')[0] + '/starts', 'a').write(sys.argv[1] + ' ')
if sys.argv[1] == 'auth':
    sys.exit({status})
import signal; signal.sigwait({{signal.SIGTERM}})
"""
    process = start(made, program, "replica", "auth")
    assert process.wait(20) == 1
    assert (made.state / "starts").read_text().split().count("auth") == starts
    assert "auth-0 cannot be started: giving up" in made.log
    assert "ledgate is ready" not in made.log


def test_no_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    made = make(tmp_path, auth_processes=2)
    process = start(made, SERVE, "auth")
    until(lambda: "ledgate is ready" in made.log, "readiness")
    pids = [made.pid("auth", 0), made.pid("auth", 1)]
    process.kill()
    process.wait()
    for pid in pids:
        wait_gone(pid)


def test_a_child_that_does_not_end_is_killed(tmp_path: Path) -> None:
    made = make(tmp_path)
    process = start(made, READY + "import time\nwhile True: time.sleep(1)", "engine")
    until(lambda: "ledgate is ready" in made.log, "readiness")
    pid = made.pid("engine")
    assert stop(process) == 0
    assert gone(pid)
    assert "engine-0 does not end: killed" in made.log


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_that_is_served_already_is_refused(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    monkeypatch.setattr(supervisor, "_PORT_PATIENCE", 0.2)
    with socket.socket(family, socket.SOCK_DGRAM) as other:
        # Even one that would share it: its packets would be ours and ours its.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((address, port))
        with pytest.raises(supervisor.PortTaken, match=f"UDP port {port} of {address} is in use"):
            supervisor.run(settings(tmp_path, port), ["auth"])


def settings(tmp_path: Path, port: int) -> Settings:
    given = {
        "LEDGATE_STATE_DIR": str(tmp_path),
        "LEDGATE_AUTH_PORT": str(port),
        "LEDGATE_LISTEN": "127.0.0.1,::1",
    }
    return config.load(None, given)


def test_kill_9_of_any_process_while_logins_go_on(database_url: str, tmp_path: Path) -> None:
    made = installation(database_url, tmp_path / "ledgate", auth_processes=4)
    made.load(document(subscribers=[subscriber("ali")]))
    with running(made, "replica", "auth"):
        for role, index in (("auth", 2), ("replica", 0), ("auth", 0)):
            killed = made.pid(role, index)
            os.kill(killed, signal.SIGKILL)
            wait_gone(killed)
            # The rest serve on, at once and whoever the Identifier belonged to.
            for _ in range(6):
                reply = made.radclient("User-Name=ali,User-Password=secret", wait=2)
                assert reply is not None
                assert reply.code == "Access-Accept"
            wait_restart(made, role, index, killed)
        # A change made now still arrives: the replica's follower is back too.
        made.load({"subscribers": [subscriber("new")]})
        until(lambda: _accepted(made, "new"), "the new subscriber", 5)


def _accepted(made: Installation, username: str) -> bool:
    reply = made.radclient(f"User-Name={username},User-Password=secret", wait=2)
    return reply is not None and reply.code == "Access-Accept"
