"""Open files: whether a process may have as many as its connections take."""

import resource
from collections.abc import Iterator

import pytest

from service.runtime.descriptors import SPARE, fit


@pytest.fixture(autouse=True)
def _restore_limit() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def limit(soft: int) -> int:
    """Set the limit that a process may raise itself; return the one up to which it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return hard


def test_a_limit_that_is_high_enough_stays():
    limit(700)
    assert fit(600) == 600
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700


def test_a_limit_that_can_be_raised_is_raised(caplog: pytest.LogCaptureFixture):
    limit(256)
    assert fit(300) == 300
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300 + SPARE
    assert caplog.messages == []


def test_what_cannot_be_opened_is_not_promised(caplog: pytest.LogCaptureFixture):
    hard = limit(256)
    assert fit(hard + 1) == hard - SPARE
    (line,) = caplog.messages
    assert f"{hard - SPARE} connections instead of {hard + 1}" in line
    assert f"{hard} files" in line
