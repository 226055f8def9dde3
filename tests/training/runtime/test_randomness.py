import torch

from training.runtime.randomness import Randomness, Shuffle

CPU = torch.device("cpu")


def test_a_draw_depends_on_seed_purpose_and_update_alone():
    first = Randomness(1, 5, CPU)
    first.normal("other", 100)
    assert torch.equal(first.normal("latents", 4, 3), Randomness(1, 5, CPU).normal("latents", 4, 3))


def test_seed_purpose_and_update_each_change_the_draw():
    draw = Randomness(1, 5, CPU).normal("latents", 8)
    others = [Randomness(2, 5, CPU).normal("latents", 8), Randomness(1, 6, CPU).normal("latents", 8)]
    others.append(Randomness(1, 5, CPU).normal("posterior", 8))
    assert not any(torch.equal(draw, other) for other in others)


def test_every_pass_of_a_shuffle_sees_each_index_once():
    shuffle = Shuffle(10, seed=0, purpose="order")
    for epoch in range(3):
        assert sorted(shuffle.take(10 * epoch, 10).tolist()) == list(range(10))
    assert shuffle.take(0, 10).tolist() != shuffle.take(10, 10).tolist()


def test_a_batch_may_cross_from_one_pass_to_the_next():
    shuffle = Shuffle(10, seed=0, purpose="order")
    whole = torch.cat([shuffle.take(start, 10) for start in (0, 10, 20)])
    assert torch.equal(shuffle.take(7, 16), whole[7:23])
