"""The records TensorBoard shows: text, pictures, histograms, and the HParams tab's start and end.

Importing this loads TensorBoard's protocol buffers (0.2 s); `TensorBoard` does so when it is made.
"""

# Generated protocol buffer modules come without stubs.
# pyright: reportAttributeAccessIssue=false

import time
from collections.abc import Collection, Mapping
from typing import TypeAlias

import numpy as np
from google.protobuf import struct_pb2
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.text import metadata as text_metadata

HParam = bool | int | float | str | None

# The result columns of the HParams tab.
HPARAM_METRICS = (
    "eval/greedy/mean_reward",
    "eval/sampled/mean_reward",
    "rollout/ep_rew_mean",
)
# The same of a trial of a sweep, written when it is over.
OBJECTIVE = "sweep/objective"
# The settings that the table begins with; the others can be ticked.
HPARAMS_SHOWN = ("epochs", "group_size", "lr", "num_groups", "seed")
HISTOGRAM_BINS = 30

Value: TypeAlias = Summary.Value


def version() -> bytes:
    """The record every event file starts with."""
    return Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString()


def restart(step: int) -> bytes:
    """The record after which nothing that was written for `step` or later is shown."""
    log = SessionLog(status=SessionLog.START)
    return Event(wall_time=time.time(), step=step, session_log=log).SerializeToString()


def record(step: int, values: list[Value]) -> bytes:
    """One record that holds all the values of a step."""
    summary = Summary(value=values)
    return Event(wall_time=time.time(), step=step, summary=summary).SerializeToString()


def scalar(tag: str, number: float) -> Value:
    """One point of a curve."""
    return Value(tag=tag, simple_value=number)


def text(tag: str, content: str, language: str = "yaml") -> Value:
    """A text for the Text tab, as a Markdown code block."""
    block = f"```{language}\n{content.rstrip()}\n```"
    return Value(
        tag=tag,
        metadata=text_metadata.create_summary_metadata(display_name="", description=""),
        tensor=TensorProto(
            dtype=DT_STRING, string_val=[block.encode()], tensor_shape=TensorShapeProto()
        ),
    )


def image(tag: str, encoded: bytes, size: tuple[int, int]) -> Value:
    """A picture for the Images tab, PNG or GIF, of this width and height in pixels."""
    width, height = size
    kept = Summary.Image(encoded_image_string=encoded, width=width, height=height, colorspace=3)
    return Value(tag=tag, image=kept)


def histogram(tag: str, sample: np.ndarray) -> Value:
    """A histogram of the finite values of a sample, [n], in equal bins."""
    finite = np.asarray(sample, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return Value(tag=tag, histo=HistogramProto())
    counts, edges = np.histogram(finite, bins=HISTOGRAM_BINS)
    proto = HistogramProto(
        min=finite.min(),
        max=finite.max(),
        num=finite.size,
        sum=finite.sum(),
        sum_squares=np.square(finite).sum(),
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )
    return Value(tag=tag, histo=proto)


def session_start(hparams: Mapping[str, HParam], swept: Collection[str] = ()) -> list[Value]:
    """What makes the HParams tab list this run: its columns, and this run's values.

    TensorBoard takes the columns from the first run it finds, so every run writes them. Of the
    trials of a sweep, which differ in the settings `swept`, these are shown first.
    """
    known = {name: value for name, value in hparams.items() if value is not None}
    experiment = api_pb2.Experiment(
        # A column that is not said to differ between runs is hidden.
        hparam_infos=[
            api_pb2.HParamInfo(name=n, type=_type(v), differs=n in (swept or HPARAMS_SHOWN))
            for n, v in known.items()
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag))
            for tag in (*([OBJECTIVE] if swept else []), *HPARAM_METRICS)
        ],
        time_created_secs=time.time(),
    )
    start = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name, value in known.items():
        _set(start.hparams[name], value)
    return [
        _hparams(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment)),
        _hparams(
            metadata.SESSION_START_INFO_TAG,
            plugin_data_pb2.HParamsPluginData(session_start_info=start),
        ),
    ]


def session_end() -> list[Value]:
    """The mark that the session has ended."""
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    return [_hparams(metadata.SESSION_END_INFO_TAG, data)]


def _hparams(tag: str, data: plugin_data_pb2.HParamsPluginData) -> Value:
    return Value(
        tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR
    )


def _type(value: bool | int | float | str) -> api_pb2.DataType:
    if isinstance(value, bool):
        return api_pb2.DATA_TYPE_BOOL
    return api_pb2.DATA_TYPE_STRING if isinstance(value, str) else api_pb2.DATA_TYPE_FLOAT64


def _set(slot: struct_pb2.Value, value: bool | int | float | str) -> None:
    if isinstance(value, bool):
        slot.bool_value = value
    elif isinstance(value, str):
        slot.string_value = value
    else:
        slot.number_value = value
