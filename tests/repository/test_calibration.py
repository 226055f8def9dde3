"""The shipped model takes few usual images for strange ones, and notices strange ones."""

import pytest

from tools import calibration
from tools.calibration import Shipped

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("whole_fashion_mnist")]

ROUNDS = 20


@pytest.fixture(scope="module")
def model() -> Shipped:
    return Shipped()


def test_usual_images_are_rarely_found_strange(model: Shipped):
    single, together = calibration.alarms(model, calibration.unseen(), ROUNDS)
    assert 0.02 <= single <= 0.08
    assert together <= 0.25  # of 20 rounds; docs/calibration.md has 200


@pytest.mark.parametrize("kind", ["inverted", "shifted by 4 pixels", "digits", "strong noise"])
def test_sets_of_strange_images_are_noticed(model: Shipped, kind: str):
    pixels = calibration.kinds(calibration.unseen())[kind]()
    assert calibration.alarms(model, pixels, ROUNDS)[1] >= 0.95
