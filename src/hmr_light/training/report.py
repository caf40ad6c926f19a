"""What a run says of itself while it trains: each epoch's figures and checkpoint, and the samples it could not read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hmr_light.body import SMPL
from hmr_light.checkpoints import format as checkpoint
from hmr_light.config.schema import TrainConfig
from hmr_light.config.signals import StopRequest
from hmr_light.data.bad_samples import FILE_NAME, name_bad, refuse_many, write_bad
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.errors import Interrupted
from hmr_light.evaluation.protocols import Scorer
from hmr_light.evaluation.scoring import headline, score
from hmr_light.model.hmr import HMR
from hmr_light.tracking import Tracker
from hmr_light.tracking.summary import remove_old, summarize_run
from hmr_light.training.progress import TrainingProgress
from hmr_light.training.state import TrainingState


@dataclass
class RunReport:
    """Where the training loop's news go: the screen, the journal, the run's folder. Without a `tracker`, nowhere."""

    folder: Path
    config: TrainConfig
    plain_config: dict[str, Any]
    state: TrainingState
    training: Mixture
    evaluation: dict[str, MeshDataset]
    body: SMPL
    scorer: Scorer
    distributed: Distributed
    tracker: Tracker | None
    progress: TrainingProgress
    stop: StopRequest

    def epoch(self, epoch: int, model: HMR, figures: dict[str, float]) -> None:
        """Evaluate `model` after `epoch` epochs, and write down its figures and its checkpoint.

        What the journal says already is not said twice, so a run that was killed here may call it again.
        Raises `Interrupted` if it is asked to stop before everything is evaluated.
        """
        trainer = self.config.trainer
        due = epoch % trainer.save_every == 0 or epoch == trainer.epochs
        said = self.distributed.broadcast(summarize_run(self.folder) if self.distributed.is_main else None)
        if epoch in said.epochs and (epoch in said.checkpoints or not due):
            return
        skip = trainer.on_bad_validation_sample == "skip"
        scores = {}
        for name, dataset in self.evaluation.items():
            scores[name] = score(
                {name: model.eval()},
                dataset,
                self.scorer,
                self.distributed,
                batch_size=64,
                workers=self.config.data.workers,
                on_batch=partial(self._evaluated, name, len(dataset)),
                on_bad=partial(self._bad_evaluation, name, dataset) if skip else None,
            )
        figures = figures | headline({name: sums[name] for name, sums in scores.items()})
        if self.state.bad_samples:
            figures["bad_samples"] = float(len(self.state.bad_samples))
        if self.tracker is None:
            return
        self.progress.epoch(epoch, figures)
        if epoch not in said.epochs:
            self.tracker.metrics(figures, step=epoch)
        if due and epoch not in said.checkpoints:
            path = self.folder / "checkpoints" / f"epoch-{epoch:03d}.pt"
            kept = checkpoint.save_model(path, model, self.plain_config, epoch, figures)
            self.tracker.checkpoint(path, epoch=epoch, saved=kept.saved, metrics=figures)
        if trainer.keep is not None:
            remove_old(self.folder, trainer.keep)

    def bad_training(self, chosen: torch.Tensor, skipped: torch.Tensor) -> None:
        """Name the training samples that could not be read: of which set `chosen` (B,), and `skipped` (B,A) there.

        Every process calls it. Raises `UserError` if they are too many.
        """
        for indices, rows in self.distributed.all_gather((chosen, skipped)):
            for number, (name, dataset) in enumerate(self._training_sets().items()):
                name_bad(self.state.bad_samples, name, dataset, rows[indices == number])
        self._write_bad()

    def _bad_evaluation(self, name: str, dataset: MeshDataset, skipped: torch.Tensor) -> None:
        name_bad(self.state.bad_samples, f"evaluation.{name}", dataset, skipped)
        self._write_bad()

    def _write_bad(self) -> None:
        path = self.folder / FILE_NAME
        sets = self._training_sets() | {f"evaluation.{name}": one for name, one in self.evaluation.items()}
        if self.tracker:
            before = path.read_bytes() if path.is_file() else b""
            write_bad(path, self.state.bad_samples, sets)
            if path.read_bytes() != before:
                self.progress.say(f"{len(self.state.bad_samples)} samples cannot be used so far: see {path}")
        for name, dataset in sets.items():
            reasons = [reason for (of, _), reason in self.state.bad_samples.items() if of == name]
            refuse_many(reasons, name, len(dataset), self.config.trainer.max_bad_fraction, path)

    def _training_sets(self) -> dict[str, MeshDataset]:
        return {f"train.{n}": one for n, one in zip(self.config.data.train, self.training.datasets, strict=True)}

    def _evaluated(self, name: str, people: int, images: int) -> None:
        # What is saved is the state after the epoch, so nobody need wait for the others.
        if self.stop.requested:
            raise Interrupted(f"Saved after epoch {self.state.epoch}, which is not evaluated yet.")
        self.progress.evaluated(name, images, people)
