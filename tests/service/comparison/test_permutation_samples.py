"""Two samples pooled, and the random ways to split them anew."""

import numpy as np
import pytest

from service.comparison.permutation_samples import Samples

A = np.arange(8.0).reshape(4, 2)
B = np.array([[10.0, 0], [0, 10], [3, 3]])


def test_the_first_column_is_the_split_as_it_was_given():
    samples = Samples(A, B, 10)
    first = samples.membership[:, 0] == 1
    moved = np.concatenate([A, B]).mean(axis=0)
    for rows, expected in ((samples.rows[first], A), (samples.rows[~first], B)):
        np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(expected - moved, axis=0), atol=1e-12)
    assert samples.sizes == (4, 3)


def test_every_permutation_has_as_many_rows_of_the_first_sample():
    membership = Samples(A, B, 500).membership
    assert membership.shape == (7, 501)
    assert set(membership.sum(axis=0).tolist()) == {4}
    shares = membership[:, 1:].mean(axis=1)
    assert np.abs(shares - 4 / 7).max() < 5 * np.sqrt(4 / 7 * 3 / 7 / 500)


def test_a_seed_gives_the_same_permutations_and_another_seed_others():
    one, same, other = (Samples(A, B, 50, seed).membership for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_distances_and_their_order_are_those_of_all_pairs():
    samples = Samples(A, B, 0)
    differences = samples.rows[:, None] - samples.rows[None]
    np.testing.assert_allclose(samples.squares, (differences**2).sum(axis=2), atol=1e-9)
    pairs = samples.squares[np.triu_indices(7, 1)]
    assert samples.median_square == pytest.approx(np.median(pairs))
    for row, order in enumerate(samples.neighbours):
        assert sorted(order.tolist()) == [other for other in range(7) if other != row]
        assert (np.diff(samples.squares[row, order]) >= 0).all()


def test_distances_are_exact_far_from_the_origin():
    near, far = Samples(A, B, 0), Samples(A + 1e9, B + 1e9, 0)
    np.testing.assert_allclose(far.squares, near.squares, atol=1e-5)


def test_where_most_rows_are_equal_there_is_a_distance_all_the_same():
    assert Samples(np.ones((5, 2)), np.ones((3, 2)), 0).median_square == 1.0


def test_of_equal_rows_none_is_its_own_neighbour():
    samples = Samples(np.ones((3, 2)), np.ones((2, 2)), 0)
    assert all(row not in order for row, order in enumerate(samples.neighbours))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (A[:1], B, "not 1 and 3"),
        (A, B[:1], "not 4 and 1"),
        (A, B[:, :1], "rows of one length"),
        (A[0], B, "rows of one length"),
        (A[None], B, "rows of one length"),
    ],
)
def test_what_is_not_two_samples_of_rows_is_refused(a: np.ndarray, b: np.ndarray, message: str):
    assert Samples(A[:2], B[:2]).sizes == (2, 2)
    with pytest.raises(ValueError, match=message):
        Samples(a, b)
