"""metrics.jsonl and the TensorBoard event file, read back from disk."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util.tensor_util import make_ndarray

from grpo_cli.sinks import Jsonl, TensorBoard
from grpo_cli.sinks.logfile import LogFile


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_jsonl_one_line_an_update_and_no_nan(tmp_path):
    path = tmp_path / "metrics.jsonl"
    sink = Jsonl(path)
    sink.write(
        128,
        {
            "train/loss": np.float32(0.5),
            "train/kl": math.nan,
            "train/grad_norm": math.inf,
            "train/n_updates": 3,
            "hist/return": np.ones(4),
        },
    )
    # Readable before it is closed: a run that crashes keeps what it wrote.
    assert lines(path) == [
        {
            "step": 128,
            "train/loss": 0.5,
            "train/kl": None,
            "train/grad_norm": None,
            "train/n_updates": 3,
        }
    ]
    sink.close()


def test_jsonl_goes_on_where_a_resumed_run_left(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        sink = Jsonl(path)
        sink.write(step, {"a": 1.0})
        sink.close()
    assert [line["step"] for line in lines(path)] == [1, 2]


def test_a_full_disk_is_one_warning_and_no_error(caplog):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    sink = Jsonl(full)
    with caplog.at_level(logging.WARNING, "grpo_cli"):
        for step in range(3):
            sink.write(step, {"a": 1.0})
        sink.close()
    assert [r.getMessage() for r in caplog.records] == [
        "cannot write /dev/full (No space left on device); training goes on without it"
    ]


def test_a_missing_folder_is_one_warning_and_no_error(tmp_path, caplog):
    file = LogFile(tmp_path / "nowhere" / "file")
    file.write(b"x")
    file.close()
    assert len(caplog.records) == 1


def events(folder: Path) -> list:
    (path,) = folder.iterdir()
    return list(EventFileLoader(str(path)).Load())


def values(folder: Path, tag: str) -> dict[int, Any]:
    return {e.step: v for e in events(folder) for v in e.summary.value if v.tag == tag}


def test_tensorboard_one_event_an_update(tmp_path):
    sink = TensorBoard(tmp_path, "lr: 0.1\n", {}, log_every=1)
    before = len(events(tmp_path))
    for step in (10, 20):
        sink.write(step, {f"train/{i}": float(i) for i in range(40)})
    sink.close()
    # two updates and the end of the session
    assert len(events(tmp_path)) - before == 3
    point = values(tmp_path, "train/7")[20]
    assert point.tensor.float_val[0] == 7.0


def test_tensorboard_logs_every_so_many_updates_and_every_evaluation(tmp_path):
    sink = TensorBoard(tmp_path, "", {}, log_every=5)
    for step in range(12):
        extra = {"eval/greedy/mean_reward": 1.0} if step == 7 else {}
        sink.write(step, {"train/loss": 0.0} | extra)
    sink.close()
    assert list(values(tmp_path, "train/loss")) == [0, 5, 7, 10]


def test_tensorboard_histograms_every_tenth_logged_update(tmp_path):
    sink = TensorBoard(tmp_path, "", {})
    for step in range(21):
        sink.write(step, {"hist/return": np.array([1.0, 2.0, 2.0, math.nan])})
    sink.close()
    drawn = values(tmp_path, "hist/return")
    assert list(drawn) == [0, 10, 20]
    buckets = make_ndarray(drawn[0].tensor)
    # rows of (left, right, count): the finite values 1, 2, 2
    assert buckets[:, 2].sum() == 3


def test_tensorboard_keeps_the_config_and_the_settings(tmp_path):
    config = "env:\n  id: CartPole-v1\n"
    hparams = {"lr": 0.001, "env": "CartPole-v1", "same": True, "nothing": None}
    TensorBoard(tmp_path, config, hparams).close()
    text = values(tmp_path, "config")[0].tensor.string_val[0].decode()
    assert yaml.safe_load(text.removeprefix("```yaml\n").removesuffix("```")) == yaml.safe_load(
        config
    )

    def plugin(tag: str) -> bytes:
        found = values(tmp_path, tag)[0]
        return found.metadata.plugin_data.content

    start = hparams_metadata.parse_session_start_info_plugin_data(
        plugin(hparams_metadata.SESSION_START_INFO_TAG)
    )
    assert start.hparams["lr"].number_value == 0.001
    assert start.hparams["env"].string_value == "CartPole-v1"
    assert start.hparams["same"].bool_value is True
    assert "nothing" not in start.hparams
    experiment = hparams_metadata.parse_experiment_plugin_data(
        plugin(hparams_metadata.EXPERIMENT_TAG)
    )
    assert [info.name.tag for info in experiment.metric_infos] == [
        "eval/greedy/mean_reward",
        "eval/sampled/mean_reward",
        "rollout/ep_rew_mean",
    ]
    assert plugin(hparams_metadata.SESSION_END_INFO_TAG)


def test_the_hparams_table_begins_with_what_is_usually_compared():
    from tensorboard.plugins.hparams import plugin_data_pb2

    from grpo_cli.sinks import summaries

    hparams = {"advantage.eps": 1e-8, "lr": 0.003, "seed": 0, "loss.eps_low": 0.2}
    for swept, first in (((), {"lr", "seed"}), (("loss.eps_low",), {"loss.eps_low"})):
        value = summaries.session_start(hparams, swept)[0]
        data = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
        assert {i.name for i in data.experiment.hparam_infos if i.differs} == first
        assert len(data.experiment.hparam_infos) == len(hparams)
