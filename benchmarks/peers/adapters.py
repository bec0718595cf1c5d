"""One adapter per tracker: what it takes to open a run, log one row, close, and read the rows back.

Libraries are imported by name when a run is opened or read, because each stands in an environment of its own.
A new peer is a class of 15 lines here, and nothing elsewhere.
"""

import json
import os
import random
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Protocol

Metrics = dict[str, float]
Rows = dict[int, Metrics]  # by step

NAMES = ("epoch", "loss", "learning_rate", "pet_loss", "perplexity", "grad_norm", "accuracy")
CHECKOUT = Path(__file__).resolve().parents[2]


def make_rows(count: int) -> Rows:
    """The same rows in every process, so that a reader can tell what should be there."""
    draw = random.Random(0).random
    return {
        step: dict(
            zip(NAMES, (step / 1000, 2 + draw(), 2e-4 * draw(), draw(), 7 + draw(), 3 * draw(), draw()), strict=True)
        )
        for step in range(1, count + 1)
    }


class Peer(Protocol):
    """One tracker. `folder` is an empty folder, the working directory and the home of everything it writes."""

    requirements: ClassVar[tuple[str, ...]] = ()  # the first one names the distribution whose version is shown
    module: ClassVar[str]  # whose import is timed
    rows: ClassVar[int] = 10_000  # enough to see growth, few enough for the slow ones

    def open(self, folder: Path) -> None: ...  # import the library and begin a run
    def log(self, step: int, metrics: Metrics) -> None: ...  # record one row; the dict is a fresh one
    def close(self) -> None: ...  # everything is on disk afterwards
    def read(self, folder: Path) -> Rows: ...  # what stands on disk


class PlainJson(Peer):
    """The floor: what ten lines of one's own would do."""

    module = "json"

    def open(self, folder: Path) -> None:
        self.file = (folder / "rows.jsonl").open("w", encoding="utf-8")

    def log(self, step: int, metrics: Metrics) -> None:
        self.file.write(json.dumps({"step": step, **metrics}) + "\n")
        self.file.flush()

    def close(self) -> None:
        self.file.close()

    def read(self, folder: Path) -> Rows:
        lines = (folder / "rows.jsonl").read_bytes().split(b"\n")[:-1]  # what follows the last newline is torn
        return {row.pop("step"): row for row in map(json.loads, lines)}


class Orjson(PlainJson):
    """The low floor: the least that writing a row can cost."""

    requirements, module = ("orjson==3.13.0",), "orjson"

    def open(self, folder: Path) -> None:
        self.dumps = import_module("orjson").dumps
        self.descriptor = os.open(folder / "rows.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def log(self, step: int, metrics: Metrics) -> None:
        os.write(self.descriptor, self.dumps({"step": step, **metrics}) + b"\n")

    def close(self) -> None:
        os.close(self.descriptor)


class Kiseki(Peer):
    """As shipped: CRC and running hash in each line; a companion that keeps JSON, CSV and curves; report at the end."""

    requirements, module = ("kiseki",), "kiseki"

    def open(self, folder: Path) -> None:
        self.block = ExitStack()
        self.recorder = self.block.enter_context(import_module("kiseki").TrainingMetricsRecorder(folder))

    def log(self, step: int, metrics: Metrics) -> None:
        self.recorder.record_step(step=step, **metrics)

    def close(self) -> None:
        self.block.close()

    def read(self, folder: Path) -> Rows:
        run = import_module("kiseki.run_folder").RunFolder(folder)
        return {row["step"]: row for row in import_module("kiseki.history").read_history(run).rows.decoded()}


class TensorboardX(Peer):
    requirements, module = ("tensorboardX==2.6.5", "tensorboard==2.21.0"), "tensorboardX"  # the latter only reads

    def open(self, folder: Path) -> None:
        self.writer = import_module("tensorboardX").SummaryWriter(str(folder / "tb"))

    def log(self, step: int, metrics: Metrics) -> None:
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()

    def read(self, folder: Path) -> Rows:
        module = import_module("tensorboard.backend.event_processing.event_accumulator")
        events = module.EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0})
        events.Reload()
        rows: Rows = defaultdict(dict)
        for name in events.Tags()["scalars"]:
            for event in events.Scalars(name):
                rows[event.step][name] = event.value
        return rows


class Wandb(Peer):
    requirements, module = ("wandb==0.31.0",), "wandb"

    def open(self, folder: Path) -> None:
        self.wandb = import_module("wandb")
        self.run = self.wandb.init(project="peers", mode="offline", dir=str(folder))

    def log(self, step: int, metrics: Metrics) -> None:
        self.run.log(metrics, step=step, commit=True)

    def close(self) -> None:
        self.run.finish()
        self.wandb.teardown()

    def read(self, folder: Path) -> Rows:
        # wandb ships no reader of its offline file (`wandb sync` needs the server), only the records' protobuf.
        record_type = import_module("wandb.proto.wandb_internal_pb2").Record
        rows: Rows = {}
        for path in folder.glob("wandb/*run-*/*.wandb"):
            for content in leveldb_records(path.read_bytes()):
                record = record_type.FromString(content)
                if record.WhichOneof("record_type") == "history":
                    items = record.history.item
                    row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
                    rows[int(row.get("_step", record.history.step.num))] = row
        return rows


def leveldb_records(log: bytes, position: int = 7, block: int = 32768) -> Iterator[bytes]:
    """Records of a LevelDB log behind wandb's 7-byte header; a torn frame skips to the next block."""
    record: bytes | None = None
    while position + 7 <= len(log):
        left = block - position % block
        if left < 7:
            position += left
            continue
        crc, length, kind = struct.unpack_from("<IHB", log, position)  # kind: 1 whole, 2 first, 3 middle, 4 last
        content = log[position + 7 : position + 7 + length]
        if len(content) < length or kind not in (1, 2, 3, 4) or zlib.crc32(bytes([kind]) + content) != crc:
            record, position = None, position + left
            continue
        position += 7 + length
        if kind in (1, 2):
            record = content
        elif record is not None:
            record += content
        if kind in (1, 4) and record is not None:
            yield record
            record = None


class Mlflow(Peer):
    requirements, module, rows = ("mlflow==3.17.2",), "mlflow", 2_000

    def open(self, folder: Path) -> None:
        self.mlflow = import_module("mlflow")
        self.mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        self.mlflow.set_experiment("peers")
        self.mlflow.start_run()

    def log(self, step: int, metrics: Metrics) -> None:
        self.mlflow.log_metrics(metrics, step=step)

    def close(self) -> None:
        self.mlflow.end_run()

    def read(self, folder: Path) -> Rows:
        client = import_module("mlflow").MlflowClient(f"sqlite:///{folder}/mlflow.db")
        rows: Rows = defaultdict(dict)
        for run in client.search_runs([client.get_experiment_by_name("peers").experiment_id]):
            for name in run.data.metrics:
                for metric in client.get_metric_history(run.info.run_id, name):
                    rows[metric.step][name] = metric.value
        return rows


class Aim(Peer):
    requirements, module, rows = ("aim==3.29.1",), "aim", 5_000

    def open(self, folder: Path) -> None:
        self.run = import_module("aim").Run(
            repo=str(folder), system_tracking_interval=None, log_system_params=False, capture_terminal_logs=False
        )

    def log(self, step: int, metrics: Metrics) -> None:
        self.run.track(metrics, step=step)

    def close(self) -> None:
        self.run.close()

    def read(self, folder: Path) -> Rows:
        repository = import_module("aim").Repo(str(folder))
        index = import_module("aim.sdk.index_manager").RepoIndexManager.get_index_manager(repository)
        for run_hash in repository.list_all_runs():
            index.index(run_hash)  # a run that was cut off is invisible until then; `aim up` does the same
        repository.container_pool.clear()
        rows: Rows = defaultdict(dict)
        for run in repository.iter_runs():
            for metric in run.metrics():
                steps, (values, _, _) = metric.data.items_list()
                for step, value in zip(steps, values, strict=True):
                    rows[step][metric.name] = value
        return rows


class Trackio(Peer):
    requirements, module = ("trackio==0.43.0",), "trackio"

    def open(self, folder: Path) -> None:
        self.trackio = import_module("trackio")
        self.trackio.init(project="peers", name="run", auto_log_gpu=False, auto_log_cpu=False, embed=False)

    def log(self, step: int, metrics: Metrics) -> None:
        self.trackio.log(metrics, step=step)

    def close(self) -> None:
        self.trackio.finish()

    def read(self, folder: Path) -> Rows:
        storage = import_module("trackio.sqlite_storage").SQLiteStorage
        return {row["step"]: row for row in storage.get_logs("peers", "run")}


class Dvclive(Peer):
    requirements, module, rows = ("dvclive==3.49.1",), "dvclive", 2_000

    def open(self, folder: Path) -> None:
        self.live = import_module("dvclive").Live(str(folder / "dvclive"), save_dvc_exp=False)

    def log(self, step: int, metrics: Metrics) -> None:
        self.live.step = step
        for name, value in metrics.items():
            self.live.log_metric(name, value)
        self.live.next_step()

    def close(self) -> None:
        self.live.end()

    def read(self, folder: Path) -> Rows:
        rows: Rows = defaultdict(dict)
        for path in (folder / "dvclive" / "plots" / "metrics").rglob("*.tsv"):
            for line in path.read_text(encoding="utf-8").split("\n")[1:-1]:
                step, value = line.split("\t")
                rows[int(step)][path.stem] = float(value)
        return rows


class Swanlab(Peer):
    requirements, module = ("swanlab==0.10.3",), "swanlab"

    def open(self, folder: Path) -> None:
        self.swanlab = import_module("swanlab")
        self.swanlab.init(project="peers", mode="offline", log_dir=str(folder / "swanlog"))

    def log(self, step: int, metrics: Metrics) -> None:
        self.swanlab.log(metrics, step=step)

    def close(self) -> None:
        self.swanlab.finish()

    def read(self, folder: Path) -> Rows:
        record_type = import_module("swanlab.proto.swanlab.record.v1.record_pb2").Record
        rows: Rows = defaultdict(dict)
        for path in folder.glob("swanlog/**/*.swanlab"):
            reader = import_module("swanlab.sdk.internal.core_python.store").DataStoreReader()
            reader.open(str(path))
            for record in map(record_type.FromString, reader):
                if record.HasField("scalar"):
                    rows[record.scalar.step][record.scalar.key] = record.scalar.value.number
        return rows


PEERS: dict[str, type[Peer]] = {
    "json": PlainJson,
    "orjson": Orjson,
    "kiseki": Kiseki,
    "trackio": Trackio,
    "swanlab": Swanlab,
    "wandb": Wandb,
    "aim": Aim,
    "tensorboardX": TensorboardX,
    "mlflow": Mlflow,
    "dvclive": Dvclive,
}
