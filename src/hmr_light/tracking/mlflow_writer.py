"""Sends a journal to MLflow. Sending the same journal twice, or after a stop anywhere, stores everything once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hmr_light.errors import UserError
from hmr_light.paths import as_text, home
from hmr_light.tracking import batch
from hmr_light.tracking.journal import Entry, read_journal
from hmr_light.tracking.loadable import is_loadable, make_loadable
from hmr_light.tracking.moved_store import ARTIFACTS
from hmr_light.tracking.records import CHANGED, PRIMARY_SET
from hmr_light.tracking.state import Sent, load_sent, save_sent
from hmr_light.tracking.store import connect, deleted_experiment, refusal, safe_text, sqlite_path
from hmr_light.tracking.summary import best_checkpoint, summarize_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Metric, Run
    from mlflow.exceptions import MlflowException

RUN_KEY = "hmr_light.run_key"
RUN_DIR = "hmr_light.run_dir"
ROW = "hmr_light.row"
ERROR = "hmr_light.error"
PARENT_CHECKPOINT = "hmr_light.parent_checkpoint"
PARENT = "mlflow.parentRunId"
# Else MLflow's pages take the experiment for one of language models.
EXPERIMENT_KIND = "custom_model_development"
# What MLflow will never accept, however often it is sent; if it is MLflow that says so, not something on the way to it.
REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")


@dataclass
class _Pending:
    """What is read and not sent."""

    metrics: list[Metric] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    primary_set: str = ""

    def add(self, entry: Entry) -> bool:
        """Whether the entry is of a kind that is gathered."""
        match entry["kind"]:
            case "metrics":
                self.metrics += batch.metrics(entry, self.primary_set)
            case "params":
                self.params |= batch.params(entry["values"])
                if not self.primary_set and (found := batch.primary_set(entry["values"])):
                    self.primary_set = self.tags[PRIMARY_SET] = found
            case "tags":
                self.tags |= batch.tags(entry["values"])
            case _:
                return False
        return True


class MlflowWriter:
    """One run's journal and its MLflow run.

    Creating it connects to the store. `send` raises `Unreachable` when the store does not answer; what was sent is
    noted beside the journal. `say` gets a message for what MLflow refuses, which stays in the journal alone.
    """

    def __init__(self, run_dir: Path, uri: str, say: Callable[[str], None]) -> None:
        self.run_dir = run_dir
        self._uri = uri
        self._say = say
        self._client: MlflowClient = connect(uri, create=True)
        self._sent = load_sent(run_dir, uri)
        self._params: dict[str, str] = {}
        self._primary_set = ""
        self._row = "checkpoint"
        self._outputs: set[str] = set()
        self._is_open = False

    def send(self) -> int:
        """Send what MLflow lacks; returns how many entries that was."""
        from mlflow.exceptions import MlflowException

        try:
            return self._send()
        except (MlflowException, OSError) as error:  # an OSError is that of the artifacts' store
            raise refusal(error, self._uri) from error

    def _send(self) -> int:
        if not self._is_open and not self._open():
            return 0
        count, end = 0, self._sent.offset
        pending = self._nothing()
        for entry, offset in read_journal(self.run_dir, end):
            if not pending.add(entry):
                self._flush(pending, end)
                self._one(entry)
                self._note(offset)
                pending = self._nothing()
            elif len(pending.metrics) >= batch.METRICS:
                self._flush(pending, offset)
                pending = self._nothing()
            count, end = count + 1, offset
        self._flush(pending, end)
        return count

    def _nothing(self) -> _Pending:
        return _Pending(primary_set=self._primary_set)

    def _open(self) -> bool:
        """Find or make the MLflow run; false while the journal has no first entry."""
        first = next((entry for entry, _ in read_journal(self.run_dir) if entry["kind"] == "run"), None)
        if first is None:
            return False
        run = self._known_run(first) or self._run_of_key(first)
        if run is None:
            experiment = self._experiment(first["experiment"])
            tags = {RUN_KEY: first["key"], RUN_DIR: as_text(self.run_dir.resolve()), "mlflow.source.name": "hmr-light"}
            run = self._client.create_run(experiment, first["time"], tags, first["name"])
        if run.info.lifecycle_stage == "deleted":
            raise UserError(
                f"the MLflow run {run.info.run_id} of {self.run_dir} was deleted", "Restore it in MLflow's pages."
            )
        if run.info.run_id != self._sent.run_id:
            self._sent = Sent(self._sent.store, run.info.run_id, run.info.experiment_id)
            save_sent(self.run_dir, self._sent)
        self._params = dict(run.data.params)
        self._primary_set = run.data.tags.get(PRIMARY_SET, "")
        self._row = run.data.tags.get(ROW, self._row)
        self._outputs = {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
        self._is_open = True
        return True

    def _known_run(self, first: Entry) -> Run | None:
        from mlflow.exceptions import MlflowException

        if not self._sent.run_id:
            return None
        try:
            run = self._client.get_run(self._sent.run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None  # another store at the same address
            raise
        return run if run.data.tags.get(RUN_KEY) == first["key"] else None

    def _run_of_key(self, first: Entry) -> Run | None:
        experiment = self._client.get_experiment_by_name(first["experiment"])
        if experiment is None:
            return None
        runs = self._client.search_runs(
            [experiment.experiment_id], f"tags.`{RUN_KEY}` = '{first['key']}'", run_view_type=3, max_results=1
        )
        return self._client.get_run(runs[0].info.run_id) if runs else None

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = None
            if not self._uri.startswith(("http:", "https:")):
                # MLflow's own default is relative to the current folder.
                base = sqlite_path(self._uri).parent if self._uri.startswith("sqlite:") else home()
                location = (base / ARTIFACTS / re.sub(r"[^\w.-]|^\.", "_", name)[:80]).as_uri()
            try:
                return self._client.create_experiment(name, location, {"mlflow.experimentKind": EXPERIMENT_KIND})
            except MlflowException as error:
                found = self._client.get_experiment_by_name(name)  # another run was quicker
                if found is None:
                    raise error
        if found.lifecycle_stage == "deleted":
            raise deleted_experiment(name, found.experiment_id, self._uri)
        return found.experiment_id

    def _flush(self, pending: _Pending, end: int) -> None:
        from mlflow.entities import Param, RunTag

        # A parameter is written once; what a continued run has changed is a tag.
        new = {key: value for key, value in pending.params.items() if key not in self._params}
        changed = {
            f"{CHANGED}{key}": value for key, value in pending.params.items() if self._params.get(key, value) != value
        }
        tags = pending.tags | self._parent(pending.tags) | batch.tags(changed)
        self._log([Param(key, value) for key, value in new.items()])
        self._log([RunTag(key, value) for key, value in tags.items()])
        self._log(pending.metrics)
        self._params |= new
        self._primary_set = pending.primary_set
        self._row = pending.tags.get(ROW, self._row)
        self._note(end)

    def _parent(self, tags: Mapping[str, str]) -> dict[str, str]:
        """The tag by which MLflow's pages show the run below the one that its model was made from.

        The journal has the parent's id in the store of that time, if it was there then; here it may be another.
        """
        sha256 = tags.get(PARENT_CHECKPOINT, "")
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return {}
        found = self._client.search_logged_models(
            [self._sent.experiment_id], filter_string=f"tags.sha256 = '{sha256}'", max_results=10
        )
        ids = [model.source_run_id for model in found if model.source_run_id not in (None, self._sent.run_id)]
        return {PARENT: str(ids[0])} if ids and tags.get(PARENT) not in ids else {}

    def _log(self, items: Sequence[batch.Item]) -> None:
        for part in batch.requests(items):
            self._request(part)

    def _request(self, items: list[batch.Item]) -> None:
        """One request; if MLflow refuses it, one an item, so that one bad item does not cost the others."""
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException

        try:
            self._client.log_batch(
                self._sent.run_id,
                metrics=[item for item in items if isinstance(item, Metric)],
                params=[item for item in items if isinstance(item, Param)],
                tags=[item for item in items if isinstance(item, RunTag)],
            )
        except MlflowException as error:
            if not self._is_final(error):
                raise
            if len(items) == 1:
                self._say(f"MLflow refuses '{items[0].key}': {safe_text(error, self._uri)}")
                return
            for item in items:
                self._request([item])

    def _is_final(self, error: MlflowException) -> bool:
        from mlflow.exceptions import RestException

        is_answer = isinstance(error, RestException) or not self._uri.startswith(("http:", "https:"))
        return is_answer and error.error_code in REFUSED

    def _one(self, entry: Entry) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._store(entry)
        except MlflowException as error:
            if not self._is_final(error):
                raise
            self._say(f"MLflow refuses the {entry['kind']} of {self.run_dir}: {safe_text(error, self._uri)}")

    def _store(self, entry: Entry) -> None:
        run_id = self._sent.run_id
        match entry["kind"]:
            case "resume":
                self._client.update_run(run_id, status="RUNNING")
                self._remove_tag(ERROR)  # what ended it once is over
            case "status":
                if entry["error"]:
                    self._client.set_tag(run_id, ERROR, entry["error"][: batch.TAG_CHARACTERS])
                self._client.set_terminated(run_id, entry["status"], entry["time"])
                if entry["status"] == "FINISHED":
                    self._publish_best()
            case "artifact":
                self._artifact(entry)
            case "dataset":
                self._client.log_inputs(run_id, [batch.dataset_input(entry)])
            case "checkpoint":
                self._checkpoint(entry)

    def _remove_tag(self, key: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.delete_tag(self._sent.run_id, key)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _artifact(self, entry: Entry) -> None:
        path = self.run_dir / entry["path"]
        if path.is_file():
            self._client.log_artifact(self._sent.run_id, str(path), entry["folder"] or None)
        else:
            self._say(f"the file {path} is gone; MLflow will not have it")

    def _checkpoint(self, entry: Entry) -> None:
        """The checkpoint as an external model, with its figures linked to it."""
        import mlflow
        from mlflow.entities import LoggedModelOutput

        sent = self._sent
        model = self._find_model(entry["sha256"])
        if model is None:
            tags = {
                "epoch": str(entry["step"]),
                "saved": entry["saved"],
                "path": as_text((self.run_dir / entry["path"]).resolve()),
                "sha256": entry["sha256"],
            }
            model = mlflow.create_external_model(
                name=re.sub(r"[/:.%\"']", "-", f"{self._row}-{entry['step']}"),
                source_run_id=sent.run_id,
                experiment_id=sent.experiment_id,
                tags=tags,
            )
        elif str(model.status) != "READY":  # its maker was stopped half way
            self._client.finalize_logged_model(model.model_id, "READY")
        if model.model_id not in self._outputs:
            self._client.log_outputs(sent.run_id, [LoggedModelOutput(model.model_id, entry["step"])])
            self._outputs.add(model.model_id)
        self._log(batch.metrics(entry, self._primary_set, model.model_id))

    def _find_model(self, sha256: str) -> LoggedModel | None:
        found = self._client.search_logged_models(
            [self._sent.experiment_id],
            filter_string=f"source_run_id = '{self._sent.run_id}' AND tags.sha256 = '{sha256}'",
            max_results=1,
        )
        return found[0] if found else None

    def _publish_best(self) -> None:
        """Make the best checkpoint a model that MLflow can load; the others stay external."""
        best = best_checkpoint(summarize_run(self.run_dir))
        model = self._find_model(best["sha256"]) if best else None
        if best is None or model is None or is_loadable(model):
            return
        path = self.run_dir / best["path"]
        if path.is_file():
            make_loadable(self._client, model, path, self._params.get("body.path", "").replace("None", ""))
        else:
            self._say(f"the file {path} is gone; MLflow will have no model that can be loaded")

    def _note(self, offset: int) -> None:
        if offset != self._sent.offset:
            self._sent.offset = offset
            save_sent(self.run_dir, self._sent)
