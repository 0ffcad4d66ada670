"""`ledgate lab router` as a user types it."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Thread

import librouteros
import pytest
from click.testing import CliRunner

from ledgate.cli import main
from tests.integration.lab import SECRET, Counter

PLAN = {"Mikrotik-Rate-Limit": "2M/10M", "Framed-IP-Address": "10.0.0.5"}


class Output:
    """What a process prints, line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._new: Queue[str] = Queue()
        self._process = process
        self._thread = Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._new.put(line)

    def until(self, pattern: str) -> re.Match[str]:
        """The first line, of those that come from now on, in which the pattern is found."""
        while True:
            line = self._new.get(timeout=20)
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found

    def end(self) -> str:
        self._thread.join()
        while not self._new.empty():
            self.lines.append(self._new.get())
        return "".join(self.lines)


@contextmanager
def lab(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Output]]:
    command = [sys.executable, "-m", "ledgate", "lab", "router", "--secret", SECRET.decode(), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output = Output(process)
        try:
            yield process, output
        finally:
            process.terminate()
            process.wait()
            output.end()


def refused(*arguments: str) -> str:
    ended = CliRunner().invoke(main, ["lab", "router", *arguments])
    assert ended.exit_code == 2, ended.output
    assert ended.output.count("\n") == 1
    return ended.output


def test_a_router_runs_and_tells_what_happens() -> None:
    free = ("--api-port", "0", "--coa-port", "0", "--foreign-rules", "40", "--foreign-entries", "50")
    with Counter({"eve": PLAN, "lea": {}}) as counter:
        server = "{}:{}".format(*counter.address)
        who = ("--subscriber", "eve:pw-eve", "--subscriber", "lea:pw-lea:hotspot:chap", "--subscriber", "bob:pw-bob")
        with lab("--radius", server, "--acct", server, *who, *free) as (process, output):
            port = int(output.until(r"mt1 is RouterOS 7\.16\.2 at 127\.0\.0\.1: CoA on UDP \d+, API on TCP (\d+)$")[1])
            output.until(r"accept    eve  Mikrotik-Rate-Limit 2M/10M  address 10\.0\.0\.5")
            api = librouteros.connect("127.0.0.1", "ledgate", "ledgate", port=port, encoding="utf-8")
            output.until("api       ledgate  login")
            assert len(tuple(api.path("ip", "firewall", "filter"))) == 36 + 5
            assert len(tuple(api.path("ip", "firewall", "address-list"))) == 50
            api.path("radius").add(address="192.0.2.9", secret="hush-hush")
            output.until(r"api       ledgate  write /radius/add address=192\.0\.2\.9 secret=\*\*\*")
            api.close()
            process.send_signal(signal.SIGINT)
            output.until("stopped")
            assert process.wait() == 0
        told = output.end()
        assert "reject    bob  no" in told and "accept    lea" in told
        assert not re.search("pw-|hush|Traceback", told)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--subscriber", "eve:hush-hush:wifi"), "subscriber 'eve': 'wifi' is neither pppoe nor hotspot"),
        (("--subscriber", "eve"), "write USER:PASSWORD"),
        (("--subscriber", "eve:hush-hush:pppoe:md5"), "'md5' is none of pap, chap, mschap, mschapv2"),
        (("--radius", "here"), "'here' is no HOST:PORT"),
        (("--dns", "bank.example"), "is no NAME=ADDRESS"),
        (("--version", "8.1"), "'8.1' is no version of RouterOS such as 6.49.10 or 7.16.2"),
        (("--drop", "2"), "2.0 is not in the range 0<=x<=1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(given: tuple[str, ...], message: str) -> None:
    told = refused("--secret", "hush", *given)
    assert message in told and "hush" not in told


def test_a_secret_is_needed() -> None:
    assert "Missing option '--secret'" in refused()


def test_ports_that_are_taken_are_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        assert f"UDP 127.0.0.1 port {port}: Address already in use" in refused("--secret", "x", "--coa-port", port)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = refused("--secret", "x", "--coa-port", "0", "--api-port", port)
        assert "the API cannot listen" in told and port in told
