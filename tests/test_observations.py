import numpy as np
import pytest
import torch
from any_space import observations, sampled
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array
from hypothesis import given

from grpo_cli.errors import ConfigError
from grpo_cli.observations import Observations, entries, find_mask
from grpo_cli.rollout import each, flat, tensors

NESTED = spaces.Dict(
    a=spaces.Tuple([spaces.Discrete(3, start=2), spaces.Dict(b=spaces.Box(0, 1, (2, 2)))]),
    c=spaces.MultiBinary(2),
)

IMAGE = spaces.Box(0, 255, (6, 8, 3), np.uint8)
PAIR = spaces.Dict({"image": IMAGE, "side": spaces.Discrete(4, start=-1)})


def dig(element, path):
    """One entry of an element of NESTED-like spaces, by its path."""
    for key in path.split(".") if path else ():
        element = element[int(key) if isinstance(element, tuple) or key.isdigit() else key]
    return element


def test_entries_have_paths():
    assert list(entries(NESTED)) == ["a.0", "a.1.b", "c"]
    assert list(entries(spaces.Discrete(2))) == [""]


@given(observations)
def test_rows_hold_what_was_seen(space):
    seen = sampled(space, 3)
    rows = Observations(space).stack(seen)
    shown = tensors(rows)
    assert len(rows) == len(flat(shown)) == 3
    for path in entries(space):
        entry = shown[path] if isinstance(shown, dict) else shown
        for row, element in enumerate(seen):
            assert np.array_equal(entry[row].numpy(), dig(element, path))


@given(observations)
def test_rows_are_chosen_and_joined_like_those_of_vectors(space):
    codec = Observations(space)
    seen = sampled(space, 4)
    rows = codec.stack(seen)
    order = np.array([2, 0])
    chosen = codec.stack([seen[2], seen[0]])
    assert np.array_equal(rows[order], chosen)
    assert np.array_equal(np.concatenate([rows[:1], rows[1:]]), rows)
    assert np.array_equal(flat(tensors(rows))[order].numpy(), flat(tensors(chosen)).numpy())
    assert codec.row_bytes == rows.nbytes / 4


def test_a_change_reaches_every_entry():
    rows = tensors(Observations(NESTED).stack(sampled(NESTED, 2)))
    doubled = each(rows, lambda entry: entry * 2)
    assert isinstance(rows, dict)
    assert isinstance(doubled, dict)
    assert all(torch.equal(doubled[path], rows[path] * 2) for path in rows)


def test_keys_need_not_be_texts():
    space = spaces.Dict({1: spaces.Discrete(2), "b": spaces.Discrete(3)})  # type: ignore[dict-item]
    rows = Observations(space).stack([{1: 1, "b": 2}])
    assert rows["1"].tolist() == [1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"c": np.zeros(3, np.int8)}, r"entry c of shape \(3,\), declared is \(2,\)"),
        ({"a": (7, {"b": np.zeros((2, 2))})}, r"entry a\.0 7, which is not in Discrete\(3"),
        ({"a": (1, {"b": np.zeros((2, 2))})}, r"entry a\.0 1, which is not in"),
        ({"a": (2, {})}, r"without the entry a\.1\.b"),
        ({"c": "text"}, r"entry c that is no MultiBinary"),
    ],
)
def test_what_is_not_in_the_space_is_named(change, says):
    good = {"a": (2, {"b": np.zeros((2, 2), np.float32)}), "c": np.zeros(2, np.int8)}
    codec = Observations(NESTED)
    codec.stack([good])
    with pytest.raises(ValueError, match=says):
        codec.stack([{**good, **change}])


def test_two_entries_of_one_path_are_refused():
    space = spaces.Dict({"a.b": spaces.Discrete(2), "a": spaces.Dict(b=spaces.Discrete(2))})
    with pytest.raises(ConfigError, match="same path"):
        Observations(space)


def test_the_mask_is_told_from_what_is_read():
    inner, mask = spaces.Box(0, 1, (4,)), spaces.MultiBinary(3)
    space, reading = find_mask(spaces.Dict(observation=inner, action_mask=mask), 3)
    assert space == inner
    assert reading.of({"observation": 1, "action_mask": 2}) == 1
    two = spaces.Dict(z=inner, action_mask=mask, b=spaces.Tuple([inner]))
    space, reading = find_mask(two, 3)
    assert space == spaces.Dict(z=inner, b=spaces.Tuple([inner]))
    assert reading.of({"z": 1, "action_mask": 2, "b.0": 3}) == {"z": 1, "b.0": 3}
    nested = spaces.Dict(observation=spaces.Dict(x=inner, y=inner), action_mask=mask)
    space, reading = find_mask(nested, 3)
    assert space == spaces.Dict(x=inner, y=inner)
    shown = {"observation.x": 1, "observation.y": 2, "action_mask": 3}
    assert reading.of(shown) == {"x": 1, "y": 2}


@pytest.mark.parametrize("choices", [0, 4])
def test_a_mask_of_other_actions_is_an_entry_like_any_other(choices):
    space = spaces.Dict(observation=spaces.Discrete(2), action_mask=spaces.MultiBinary(3))
    assert find_mask(space, choices) == (space, find_mask(spaces.Discrete(2), 0)[1])


@given(observations)
def test_one_or_many_are_the_rows_of_the_environments_own(space):
    samples = sampled(space, 3)
    reader = Observations(space)
    for sample in samples:
        rows, one = reader.batch(sample)
        assert one
        np.testing.assert_array_equal(rows, reader.stack([sample]))
    # Gymnasium's own way to put observations side by side.
    many = concatenate(space, samples, create_empty_array(space, 3))
    rows, one = reader.batch(many)
    assert not one
    np.testing.assert_array_equal(rows, reader.stack(samples))


def test_images_with_their_channels_at_the_other_end():
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    first = np.transpose(image, (2, 0, 1))
    for space, own, other in ((IMAGE, image, first), (_space(first), first, image)):
        reader = Observations(space)
        for shown in (own, other):
            rows, one = reader.batch(shown)
            assert one
            np.testing.assert_array_equal(rows, own[None])
            rows, one = reader.batch(np.stack([shown, shown]))
            assert not one
            np.testing.assert_array_equal(rows, np.stack([own, own]))


def _space(image):
    return spaces.Box(0, 255, image.shape, np.uint8)


def test_numbers_that_are_no_images_are_not_turned():
    reader = Observations(spaces.Box(0, 1, (6, 8, 3), np.float32))
    with pytest.raises(ConfigError, match=r"\(3, 6, 8\)"):
        reader.batch(np.zeros((3, 6, 8)))


@pytest.mark.parametrize(
    ("shown", "what"),
    [
        ({"image": np.zeros((6, 8, 3))}, "entry side was not given"),
        (np.zeros(3), "entry image was not given"),
        ({"image": np.zeros((6, 8)), "side": 0}, r"shape \(6, 8\) was given"),
        ({"image": [[1], [1, 2]], "side": 0}, "no array"),
        ({"image": np.zeros((6, 8, 3)), "side": 3}, "3, which is not in Discrete"),
        ({"image": np.zeros((6, 8, 3)), "side": "left"}, "no Discrete"),
        ({"image": np.zeros((2, 6, 8, 3)), "side": 0}, "image: 2, side: one"),
        ({"image": np.zeros((2, 6, 8, 3)), "side": [0, 1, 0]}, "image: 2, side: 3"),
    ],
)
def test_what_is_no_observation(shown, what):
    with pytest.raises(ConfigError, match=what):
        Observations(PAIR).batch(shown)
