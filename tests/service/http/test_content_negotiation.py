"""Negotiation: what an Accept header gets."""

import pytest

from service.api.rendering import OF_IMAGES, OF_LATENTS
from service.errors import NotAcceptable
from service.http.content_negotiation import choose, quality


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("image/webp, */*", "image/webp"),
        ("image/jpeg;q=0.9, image/webp;q=0.8", "image/jpeg"),
        ("image/jpeg;q=0.8, image/webp;q=0.9", "image/webp"),
        ("application/json;q=0, */*;q=0.1", "image/png"),
        ("image/png;q=0, image/*", "image/webp"),
        ("text/html, application/xhtml+xml, image/avif, image/webp, */*;q=0.8", "image/webp"),
        ("application/x-npy", "application/x-npy"),
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg, image/png;q=0.5", "image/jpeg"),
        ("image/x-png;q=0.5, image/webp;q=0.4", "image/png"),
        ("text/html, application/x-npy;q=0.001", "application/x-npy"),
    ],
)
def test_the_best_liked_type_is_chosen(accept: str, chosen: str) -> None:
    assert choose(accept, OF_IMAGES) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "image/gif",
        "*/*;q=0",
        "image/png;q=0",
        "image",
        ";",
        "image/png;q=high",
        "image/png;q=nan",
    ],
)
def test_what_is_not_offered_is_406_and_lists_the_offer(accept: str) -> None:
    with pytest.raises(NotAcceptable) as refusal:
        choose(accept, OF_IMAGES)
    for offered in OF_IMAGES:
        assert offered in refusal.value.detail


def test_a_quality_counts_under_another_name_too() -> None:
    assert quality("image/jpg;quality=30", "image/jpeg") == 30


def test_latents_are_not_offered_as_images() -> None:
    with pytest.raises(NotAcceptable):
        choose("image/png", OF_LATENTS)
