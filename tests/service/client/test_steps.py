"""The requests of one call, and how long to wait before one is sent again."""

import time
from email.utils import formatdate

import httpx
import pytest

from service.client.problems import PROBLEM
from service.client.steps import FIRST_PAUSE_S, LONGEST_PAUSE_S, Limits, Request, Session, limits, pause_s

LIMITS = {"max_images": 4, "max_count": 16, "max_body_bytes": 1000, "max_stream_images": 9}


def pause(status: int, tries: int = 1, left_s: float = 60, **headers: str) -> float | None:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return pause_s(httpx.Response(status, headers=given), tries, time.monotonic() + left_s)


def test_a_request_is_json_or_an_array():
    plain = Request("POST", "/encode", {"images": []}).arguments()
    assert (plain["method"], plain["url"], plain["json"]) == ("POST", "/encode", {"images": []})
    assert plain["headers"]["accept"] == "application/json"
    array = Request("POST", "/decode", array=b"x", params={"model": "m"}).arguments()
    assert (array["content"], array["params"], "json" in array) == (b"x", {"model": "m"}, False)
    assert array["headers"]["content-type"] == "application/x-npy"


def test_the_limits_are_asked_for_once():
    session = Session(progress=False)
    steps = limits(session)
    assert next(steps) == Request("GET", "/models")
    with pytest.raises(StopIteration) as end:
        steps.send({"models": [], "limits": LIMITS})
    assert end.value.value == Limits(4, 16, 1000) == session.limits
    with pytest.raises(StopIteration) as again:
        next(limits(session))
    assert again.value.value is session.limits


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 413, 422, 501])
def test_most_answers_are_final(status: int):
    assert pause(status, retry_after="0") is None


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_whoever_says_so(status: int):
    assert pause(status, retry_after="7") == 7
    assert pause(status, retry_after="7", content_type=PROBLEM) == 7


@pytest.mark.parametrize("status", [500, 502, 504])
def test_an_answer_that_a_proxy_lost_is_asked_for_again_and_the_services_own_is_final(status: int):
    assert pause(status) == FIRST_PAUSE_S
    assert pause(status, content_type=PROBLEM) is None


def test_without_a_time_each_pause_is_twice_as_long_up_to_a_longest():
    pauses = [pause(503, tries) for tries in range(1, 9)]
    assert pauses == [FIRST_PAUSE_S * 2**i for i in range(6)] + [LONGEST_PAUSE_S] * 2
    assert pause(503, retry_after="soon") == FIRST_PAUSE_S


def test_a_time_may_be_a_date_and_one_that_has_passed_is_now():
    assert pause(503, retry_after=formatdate(time.time() + 30, usegmt=True)) == pytest.approx(30, abs=1.5)
    assert pause(503, retry_after=formatdate(time.time() - 30, usegmt=True)) == 0


def test_nothing_is_sent_after_the_end():
    assert pause(503, left_s=5, retry_after="6") is None
    assert pause(503, left_s=7, retry_after="6") == 6
