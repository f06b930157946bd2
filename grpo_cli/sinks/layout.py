"""TensorBoard's Custom Scalars tab: which metrics belong into one chart.

Importing this loads TensorBoard's protocol buffers, as `summaries` does.
"""

# Generated protocol buffer modules come without stubs.
# pyright: reportAttributeAccessIssue=false

import re

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2, metadata

# Category -> chart -> metrics that are drawn together.
LINES: dict[str, dict[str, tuple[str, ...]]] = {
    "group": {
        "evaluation": ("eval/greedy/mean_reward", "eval/sampled/mean_reward"),
        "spread": ("group/reward_std",),
        "dead groups": ("group/frac_reward_zero_std",),
        "episode length": ("rollout/ep_len_mean",),
    },
    "policy": {
        "KL": ("train/approx_kl",),
        "entropy": ("train/entropy",),
        "clipped": ("train/clip_ratio/low_mean", "train/clip_ratio/high_mean"),
        "gradient norm": ("train/grad_norm",),
        "learning rate": ("train/learning_rate",),
    },
    "time": {
        "seconds of an update": (
            "time/env_s", "time/act_s", "time/update_s", "time/eval_s", "time/other_s",
        ),
        "env steps per second": ("time/fps",),
    },
}  # fmt: skip
# (curve, lower edge, upper edge), drawn as a band.
RETURN = ("rollout/ep_rew_mean", "group/reward_min", "group/reward_max")


def layout() -> Summary.Value:
    """Return the value that lays out the tab; every run writes the same.

    Not by the plugin's own `summary.pb`, which wants TensorFlow.
    """
    middle, low, high = RETURN
    band = layout_pb2.MarginChartContent(
        series=[layout_pb2.MarginChartContent.Series(value=middle, lower=low, upper=high)]
    )
    first = layout_pb2.Chart(title="return, worst to best of a group", margin=band)
    categories = []
    for name, charts in LINES.items():
        drawn = [
            layout_pb2.Chart(
                title=title,
                multiline=layout_pb2.MultilineChartContent(
                    tag=[f"^{re.escape(tag)}$" for tag in tags]
                ),
            )
            for title, tags in charts.items()
        ]
        band_first = [first, *drawn] if name == "group" else drawn
        categories.append(layout_pb2.Category(title=name, chart=band_first))
    text = layout_pb2.Layout(category=categories).SerializeToString()
    tensor = TensorProto(dtype=DT_STRING, string_val=[text], tensor_shape=TensorShapeProto())
    return Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG, metadata=metadata.create_summary_metadata(), tensor=tensor
    )
