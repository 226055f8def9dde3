"""Packed latents: rows of 2 x 2 patches."""

import numpy as np
import pytest

from service.protocols.remote_vae.packing import shape, unpack


def pack(latents: np.ndarray) -> np.ndarray:
    """Pack as FLUX does: every row has the four numbers of a patch, channel by channel."""
    count, channels, height, width = latents.shape
    patches = latents.reshape(count, channels, height // 2, 2, width // 2, 2)
    return patches.transpose(0, 2, 4, 1, 3, 5).reshape(count, height * width // 4, channels * 4)


def test_unpacking_undoes_packing():
    latents = np.arange(2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)
    packed = pack(latents)
    assert packed[0, 0].tolist() == [0, 1, 6, 7, 24, 25, 30, 31, 48, 49, 54, 55]
    found = shape(packed.shape[1:], height=32, width=48, stride=8)
    assert found == (3, 4, 6)
    np.testing.assert_array_equal(unpack(packed, found), latents)


def test_pixels_that_fill_no_patch_are_left_out():
    assert shape((6, 12), height=47, width=63, stride=8) == (3, 4, 6)


@pytest.mark.parametrize(
    ("rows", "height", "width"),
    [((5, 12), 32, 48), ((6, 13), 32, 48), ((6, 12), 48, 48), ((0, 12), 15, 48), ((0, 12), 32, 15)],
)
def test_rows_that_do_not_go_with_the_size_are_no_latent(rows: tuple[int, int], height: int, width: int):
    assert shape(rows, height, width, stride=8) is None
