import numpy as np

from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng


def test_an_address_gives_the_same_numbers_and_another_address_others():
    first = rng(3, Purpose.ACTION, 7, 2).random(5)
    assert np.array_equal(first, rng(3, Purpose.ACTION, 7, 2).random(5))
    others = [(4, Purpose.ACTION, 7, 2), (3, Purpose.START, 7, 2), (3, Purpose.ACTION, 8, 2)]
    others.append((3, Purpose.ACTION, 7, 3))
    for other in others:
        assert not np.array_equal(first, rng(*other).random(5))


def test_uses_never_share_a_reset_seed():
    drawn = {
        use: set(reset_seeds(rng(0, Purpose.EVAL, int(use)), 2000, use).tolist()) for use in Use
    }
    assert not drawn[Use.TRAIN] & drawn[Use.CHECK]
    assert not drawn[Use.CHECK] & drawn[Use.FINAL]
    assert not drawn[Use.TRAIN] & drawn[Use.FINAL]
    assert all(0 <= seed < 2**31 for seeds in drawn.values() for seed in seeds)


def blocks(groups, **changes):
    return ActionNoise([rng(0, Purpose.ACTION, 0, g) for g in groups], 3, 2, **changes)


def rows(noise, step, members):
    return noise.at(np.full(len(members), step), np.array(members))


def test_noise_of_a_group_does_not_depend_on_other_groups():
    both, second = blocks([0, 1]), blocks([1])
    for step in range(ActionNoise.block + 2):  # past the first block
        assert np.array_equal(rows(both, step, [3, 4, 5]), rows(second, step, [0, 1, 2]))


def test_noise_does_not_depend_on_who_is_asked_for_when():
    together, apart = blocks([0]), blocks([0])
    late = rows(apart, 100, [2])
    assert np.array_equal(rows(together, 100, [0, 1, 2])[2:], late)
    mixed = apart.at(np.array([3, 100]), np.array([1, 2]))
    assert np.array_equal(mixed, np.stack([rows(together, 3, [1])[0], late[0]]))


def test_noise_changes_with_every_step_and_member():
    noise = blocks([0])
    drawn = np.stack([rows(noise, step, [0, 1, 2]) for step in range(2 * ActionNoise.block)])
    assert len(np.unique(drawn)) == drawn.size


def test_noise_is_what_the_generator_draws_block_after_block():
    noise, generator = blocks([0]), rng(0, Purpose.ACTION, 0, 0)
    wanted = np.concatenate([generator.random((ActionNoise.block, 3, 2)) for _ in range(7)])
    for step in range(len(wanted)):  # room for it doubles three times on the way
        assert np.array_equal(rows(noise, step, [0, 1, 2]), wanted[step])


def test_shared_noise_is_the_same_for_all_members_of_a_group():
    drawn = rows(blocks([0, 1], shared=True), 5, range(6))
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[1] == drawn[2]).all()
    assert (drawn[0] != drawn[3]).all()


def test_held_noise_is_the_same_numbers_each_for_several_steps():
    held, every = blocks([0], hold=4), blocks([0])
    for step in range(2 * ActionNoise.block):
        assert np.array_equal(rows(held, step, [0, 1, 2]), rows(every, step // 4, [0, 1, 2]))
