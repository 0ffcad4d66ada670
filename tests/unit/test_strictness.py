"""The run's own strictness: skips fail, sockets in the cheap tiers fail."""

import socket

import pytest

SKIPPERS = """
import pytest

def test_skips():
    pytest.skip("no radclient here")

@pytest.mark.may_skip("only where it applies")
def test_may_skip():
    pytest.skip("does not apply")

@pytest.mark.xfail(strict=True, reason="known")
def test_known():
    assert False
"""


def test_a_skip_is_a_failure_unless_allowed(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = may_skip(reason)")
    pytester.makepyfile(test_some=SKIPPERS)
    result = pytester.runpytest_inprocess("-p", "tests.strictness", "-p", "no:xdist")
    result.assert_outcomes(failed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*no radclient here*", "*counts as a failure*"])


def test_a_file_that_skips_itself_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_whole="import pytest\npytest.importorskip('no_such_module')\n")
    result = pytester.runpytest_inprocess("-p", "tests.strictness", "-p", "no:xdist")
    result.assert_outcomes(errors=1)
    assert result.ret != 0


def test_a_unit_test_opens_no_socket() -> None:
    with pytest.raises(RuntimeError, match="opens no sockets"):
        socket.socket()
