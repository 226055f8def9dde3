"""Class names and indices, and the refusal that lists the known ones."""

import pytest

from service.errors import InvalidField
from service.latent_space import labels

NAMES = ("T-shirt/top", "Bag", "Straße")
PLACE = ("body", "labels", 3)


@pytest.mark.parametrize(
    ("label", "expected"), [("Bag", 1), ("bag", 1), ("t-SHIRT/TOP", 0), ("STRASSE", 2), (0, 0), (2, 2)]
)
def test_a_class_is_known_by_its_name_in_any_case_or_its_index(label: str | int, expected: int):
    assert labels.index(label, NAMES, PLACE) == expected


@pytest.mark.parametrize("label", [-1, 3, "", "Bags", "1"])
def test_an_unknown_class_is_refused_and_the_known_ones_are_listed(label: str | int):
    with pytest.raises(InvalidField) as refusal:
        labels.index(label, NAMES, PLACE)
    (field,) = refusal.value.fields
    assert field == (PLACE, "no such class; known are T-shirt/top, Bag, Straße, or 0 to 2")


def test_a_name_can_be_looked_up_without_a_refusal():
    assert labels.find("BAG", NAMES) == 1
    assert labels.find("boot", NAMES) is None
