"""The playground: a page and its files, which ask nobody but this service."""

import re

from support.in_process import InProcess, make_app


def test_the_root_leads_there(client: InProcess):
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "playground")


def test_the_page_may_load_what_is_served_here_and_nothing_else(client: InProcess):
    page = client.get("/playground")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in policy
    links = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert links
    for link in links:
        assert "//" not in link
        assert client.get(f"/{link}").status_code == 200, link


def test_a_slash_at_the_end_leads_to_the_page_itself(client: InProcess):
    answer = client.get("/playground/")
    assert (answer.status_code, answer.headers["location"]) == (307, "../playground")


def test_its_files_are_mounted_below_it():
    assert "/playground" in [getattr(route, "path", None) for route in make_app().routes]
