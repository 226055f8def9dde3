"""What a route takes from its application and its request: the very parts that were put there."""

import time

from service.api import dependencies
from support.in_process import REQUEST_ID, make_app, make_request

OF_THE_APP = ("settings", "keys", "repository", "drain", "comparer", "windows", "drift")


def test_every_part_is_the_one_that_the_application_was_made_with():
    app = make_app()
    request = make_request(app=app)
    for name in OF_THE_APP:
        assert getattr(dependencies, name)(request) is getattr(app.state, name)


def test_a_request_has_its_id_its_limits_and_its_deadline():
    request = make_request()
    assert dependencies.request_id(request) == REQUEST_ID
    found = dependencies.exchange(request)
    found.hurry(end_s := time.monotonic())
    assert dependencies.deadline_s(request) == end_s
