"""The documentation: a page that loads nothing from elsewhere, the document, and its examples."""

import re

import pytest

from service.api import examples
from support.in_process import InProcess
from support.problem_json import check_problem


def test_all_that_the_page_loads_is_served_from_here(client: InProcess):
    page = client.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        assert "//" not in link
        assert client.get(f"/{link}").status_code == 200


def test_a_slash_at_the_end_leads_to_the_page_itself(client: InProcess):
    """The links of the page are relative."""
    answer = client.get("/docs/")
    assert (answer.status_code, answer.headers["location"]) == (307, "../docs")


def test_the_document_is_that_of_the_application(client: InProcess):
    found = client.get("/openapi.json")
    assert found.headers["content-type"] == "application/json"
    assert "/encode" in found.json()["paths"]


@pytest.mark.parametrize("name", examples.files())
def test_an_example_is_served_as_what_it_is(client: InProcess, name: str):
    found = client.get(f"{examples.FOLDER}/{name}")
    assert (found.headers["content-type"], found.content) == examples.files()[name]
    assert found.headers["x-content-type-options"] == "nosniff"


def test_other_examples_are_not_there(client: InProcess):
    check_problem(client.get(f"{examples.FOLDER}/shoe.png"), 404, "no-such-route")
