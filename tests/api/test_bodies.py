"""The three policies and their policy_kwargs; test_sb3.py holds their networks to PPO's own."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from grpo_cli.api.bodies import body
from grpo_cli.errors import ConfigError

NUMBERS = spaces.Box(-1, 1, (3,), np.float32)
IMAGE = spaces.Box(0, 255, (40, 40, 1), np.uint8)
FLOATS = spaces.Box(0, 1, (40, 40, 1), np.float32)
BOTH = spaces.Dict({"image": IMAGE, "numbers": NUMBERS})


def widths(kind, space, **words):
    made = body(kind, words, space)(space)
    return [layer.out_features for layer in made.modules() if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize(
    ("kind", "space", "words", "expected"),
    [
        ("MlpPolicy", NUMBERS, {}, [64, 64]),
        ("MlpPolicy", BOTH, {}, [64, 64]),
        ("CnnPolicy", IMAGE, {}, [512]),
        ("MultiInputPolicy", BOTH, {}, [256, 64, 64]),
        ("MlpPolicy", NUMBERS, {"net_arch": {"pi": [8], "vf": [9]}}, [8]),
        ("CnnPolicy", IMAGE, {"net_arch": (8, 9)}, [512, 8, 9]),
        ("CnnPolicy", IMAGE, {"net_arch": {"vf": [9]}}, [512]),
        ("CnnPolicy", IMAGE, {"features_extractor_kwargs": {"features_dim": 7}}, [7]),
        ("MultiInputPolicy", BOTH, {"net_arch": []}, [256]),
        (
            "MultiInputPolicy",
            BOTH,
            {"net_arch": [8], "features_extractor_kwargs": {"cnn_output_dim": 7}},
            [7, 8],
        ),
        ("CnnPolicy", FLOATS, {"normalize_images": False}, [512]),
    ],
)
def test_layers(kind, space, words, expected):
    assert widths(kind, space, **words) == expected


def test_activations_follow_the_layers_of_net_arch_only():
    made = body("CnnPolicy", {"net_arch": [8], "activation_fn": nn.SiLU}, IMAGE)(IMAGE)
    kinds = [type(layer) for layer in made.modules() if not list(layer.children())]
    assert kinds[-4:] == [nn.Linear, nn.ReLU, nn.Linear, nn.SiLU]
    assert (made(torch.zeros(2, 40, 40, 1, dtype=torch.uint8))).shape == (2, 8)


def test_what_a_mask_leaves_of_a_dict():
    for rest, expected in ((IMAGE, [256, 64, 64]), (NUMBERS, [64, 64])):
        shown = spaces.Dict({"observation": rest, "action_mask": spaces.MultiBinary(2)})
        made = body("MultiInputPolicy", None, shown)(rest)
        linear = [layer.out_features for layer in made.modules() if isinstance(layer, nn.Linear)]
        assert linear == expected


@pytest.mark.parametrize(
    ("kind", "space", "words", "what"),
    [
        ("CnnPolic", IMAGE, {}, "no policy CnnPolic"),
        ("CnnPolicy", NUMBERS, {}, r"CnnPolicy reads images, .* Box of shape \(3,\)"),
        ("MultiInputPolicy", IMAGE, {}, "MultiInputPolicy reads a Dict"),
        ("MlpPolicy", NUMBERS, {"net_arch": []}, "net_arch="),
        ("MlpPolicy", NUMBERS, {"activation_fn": nn.ELU}, "activation_fn=elu"),
        ("MlpPolicy", NUMBERS, {"optimizer_class": nn.ELU}, "optimizer_class is not known"),
        (
            "MlpPolicy",
            NUMBERS,
            {"features_extractor_kwargs": {"features_dim": 7}},
            "features_dim is not known",
        ),
        ("MultiInputPolicy", BOTH, {"normalize_images": False}, "always divided by 255"),
    ],
)
def test_what_is_refused(kind, space, words, what):
    with pytest.raises(ConfigError, match=what):
        body(kind, words, space)(space)
