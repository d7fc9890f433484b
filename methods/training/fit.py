"""The fit loop: one engine for every objective.

Images stay uint8 on the training device; every step draws its batch, augments it there, runs the network, asks the
objective for its loss (in float32, unless the switch criterion_precision says otherwise) and descends. Nothing in a
step waits for the device: losses are summed there and read once an epoch.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from methods import registry
from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.metrics.identification import accuracy, mean_average_precision
from methods.networks.model import Outputs
from methods.networks.snapshots import is_snapshot, snapshot
from methods.objectives.base import Context, Terms
from methods.progress import EpochProgress, beat
from methods.training import acceleration
from methods.training import checkpoint as ckpt
from methods.training.augmentation import augment, normalise, plain
from methods.training.batches import cycled_batch, drops_last, epoch_batches, steps_per_epoch
from methods.training.device import autocast, prepare_device, upload
from methods.training.distributed import ALONE, Group
from methods.training.epoch import EpochSums
from methods.training.memory import told_if_short_of_memory
from methods.training.optimisers import Stepper
from methods.training.outliers import forward_with_outliers
from methods.training.randomness import generator
from methods.training.schedules import Length
from methods.training.start import build, refuse_a_last_batch_of_one, refuse_small_batches, training_labels

_EVALUATION_BATCH = 512


@dataclass(frozen=True)
class FitData:
    """What a training reads: ID train, ID validation where weights are selected on it, outliers where they train."""

    train: ImageSet
    validation: ImageSet | None = None
    outliers: ImageSet | None = None


@dataclass
class Result:
    """A finished training.

    Attributes:
        tensors: ``backbone.* head.* projector.* objective.*`` of the selected epoch, on the CPU; before them the
            epoch of a snapshot (methods.networks.snapshots).
        history: one row an epoch.
        cost: seconds, images, peak memory.
    """

    tensors: dict[str, torch.Tensor]
    history: list[dict[str, float]]
    cost: dict[str, float]


def fit(
    settings: Mapping[str, Any], data: FitData, hardware: Mapping[str, Any], resume: Path, group: Group = ALONE
) -> Result:
    """Train one model.

    Args:
        settings: architecture, recipe, switches, precision and seed; all that makes the result what it is.
        data: images and labels.
        hardware: device, determinism, seconds between checkpoints, name to show; never changes what is computed.
        resume: file of the resume checkpoint; taken up if it exists.
        group: the processes that share every batch; this one alone by default.

    Raises:
        ReproError: labels that do not fit the network, a loss that is not finite (names the step), or no memory left.
    """
    with told_if_short_of_memory(settings, hardware):
        trainer = _Trainer(settings, data, hardware, resume, group)
        trainer.restore()
        trainer.run()
        return trainer.result()


class _Trainer:
    def __init__(
        self, settings: Mapping[str, Any], data: FitData, hardware: Mapping[str, Any], resume: Path, group: Group
    ) -> None:
        self.settings, self.hardware, self.resume, self.group = settings, hardware, resume, group
        self.device = prepare_device(
            hardware["device"], settings["cpu_threads"], hardware["deterministic"], settings["precision"]
        )
        self.train = self._resident(data.train)
        self.host_labels = training_labels(data.train, settings)
        self.labels = self.host_labels.to(self.device)
        self.validation = data.validation
        self.validation_images = None if data.validation is None else self._resident(data.validation)
        self.outliers = None if data.outliers is None else self._resident(data.outliers)
        self.record = registry.records("objectives")[settings["objective"]["name"]]
        self.model, self.objective = build(
            settings, self.device, self.host_labels, acceleration.memory_format(hardware)
        )
        group.share_statistics(self.model)
        refuse_a_last_batch_of_one(settings, len(self.train), self.record["views"])
        self.network = acceleration.compiled(self.model, hardware, self.device)  # of training; weights are the model's
        self.length = self._length()
        refuse_small_batches(self.objective, self._batches(0))
        learns = nn.ModuleList([self.model, self.objective])
        # An objective's own parameters get their whole gradient in every process, the network's only a part.
        add_up = partial(group.sum_gradients, list(self.model.parameters()))
        fused = hardware.get("fused_optimiser", False)
        self.stepper = Stepper(learns, settings, self.length, self.device, add_up, fused, self.model.backbone)
        in_autocast = settings["switches"].get("criterion_precision") == "autocast"
        self.criterion_precision = settings["precision"] if in_autocast else "fp32"
        self.progress = ckpt.Progress()
        self.best: dict[str, torch.Tensor] = {}
        self.snapshots: dict[str, torch.Tensor] = {}  # on the CPU

    def run(self) -> None:
        """All epochs that are left, with a checkpoint now and then."""
        if self.progress.epoch == 0:
            self.objective.initialise(self._plain_outputs())
        shown = EpochProgress(self.hardware["name"], self.settings["epochs"], self.progress.epoch)
        saved = time.monotonic()
        for epoch in range(self.progress.epoch, self.settings["epochs"]):
            start = time.monotonic()
            row = self._epoch(epoch)
            self._select(row)
            self.progress.history.append(row)
            self.progress.epoch = epoch + 1
            if self.progress.epoch in self.settings.get("snapshots", ()):
                self.snapshots |= snapshot(self.progress.epoch, self._tensors())
            self.progress.seconds += time.monotonic() - start
            if self.group.rank == 0 and time.monotonic() - saved >= self.hardware["checkpoint_seconds"]:
                self.save()
                saved = time.monotonic()
            shown.update(epoch, {"loss": row["total"], "lr": row["learning_rate"]})
        shown.close()

    def _epoch(self, epoch: int) -> dict[str, float]:
        self.model.train(epoch == 0 or not self.settings["switches"].get("bn_freeze_after_first_epoch", False))
        sums = EpochSums(self.device)
        for number, index in enumerate(self._batches(epoch)):
            step = epoch * self.length.epoch + number
            sums.add(self._step(epoch, step, index), step)
            beat(f"step {step} in epoch {epoch} of {self.hardware['name']}")
        row = {"epoch": float(epoch), "learning_rate": self.stepper.rate, **sums.means()}
        bad = sums.first_bad_step if sums.first_bad_step is not None else self._last_step_if_broken(epoch)
        if bad is not None:
            raise ReproError(self._not_finite(epoch, bad))
        if self.validation is not None:
            row |= self._validate()
        return row

    def _step(self, epoch: int, step: int, index: torch.Tensor) -> Terms:
        s = self.settings
        acceleration.begin_step(self.hardware)
        self.stepper.set_rate(step)
        context = Context(epoch, s["epochs"], step, self.host_labels[index])
        share, index = self.group.share(len(index)), upload(index, self.device)
        images, labels = self.train[index[share.part]], self.labels[index]
        draw = generator(s["seed"], "augmentation", epoch, step)
        views = torch.cat([augment(images, s["augmentation"], draw, share) for _ in range(self.record["views"])])
        outputs, outlier_outputs = self._forward(self._input(views), step, draw)
        outputs = self.group.gather(outputs, share.batch, self.record["views"])
        with autocast(self.device, self.criterion_precision):
            terms = self.objective.loss(outputs, outlier_outputs, labels, context)
        skipped = self.stepper.step(terms.total)
        self.objective.commit(skipped=skipped and s["switches"].get("ema_on_skipped_step") != "update")
        return terms

    def _forward(self, images: torch.Tensor, step: int, draw: torch.Generator) -> tuple[Outputs, Outputs | None]:
        s = self.settings
        if self.outliers is None:
            with autocast(self.device, s["precision"]):
                return self.network(images).float(), None
        index, share = self._outlier_batch(step), self.group.share(s["outlier_batch"])
        extra = self._input(augment(self.outliers[index[share.part]], s["augmentation"], draw, share))
        with autocast(self.device, s["precision"]):  # augmentation stays outside: in float32 for both domains
            inside, outside = forward_with_outliers(
                self.model,
                images,
                extra,
                s["switches"]["bn_mode"],
                self.network,
                head_twice=s["switches"].get("head_double_bn_update", False),
            )
        return inside, self.group.gather(outside, share.batch)

    def _outlier_batch(self, step: int) -> torch.Tensor:
        assert self.outliers is not None
        index = cycled_batch(len(self.outliers), self.settings["outlier_batch"], self.settings["seed"], step)
        return upload(index, self.device)

    def _input(self, views: torch.Tensor) -> torch.Tensor:
        x = normalise(views, self.settings["normalisation"])
        return x.contiguous(memory_format=acceleration.memory_format(self.hardware))

    def _batches(self, epoch: int) -> list[torch.Tensor]:
        s = self.settings
        whole = epoch_batches(len(self.train), s["batch"], s["seed"], epoch, drops_last(s["switches"]))
        return whole[: self.length.epoch]

    def _length(self) -> Length:
        s = self.settings
        taken = own = steps_per_epoch(len(self.train), s["batch"], drops_last(s["switches"]))
        if self.outliers is not None and s["switches"]["oe_iteration"] == "zip_truncate":
            taken = min(own, steps_per_epoch(len(self.outliers), s["outlier_batch"], drop_last=False))
        planned = own if s["switches"].get("schedule_steps") == "len_id_times_epochs" else taken
        return Length(total=planned * s["epochs"], epoch=taken)

    def _validate(self) -> dict[str, float]:
        assert self.validation is not None
        assert self.validation_images is not None
        outputs = self._outputs(self.validation_images)
        logits = np.concatenate([o.logits.cpu().numpy() for o in outputs if o.logits is not None])
        if self.validation.multi_label:
            return {"validation_map": mean_average_precision(logits, self.validation.labels)}
        return {"validation_accuracy": accuracy(logits.argmax(axis=1), self.validation.labels)}

    def _select(self, row: Mapping[str, float]) -> None:
        rule = self.settings["selection"]["rule"]
        if rule == "last":
            return
        value = (
            -row["total"] if rule == "best_train_loss" else row.get("validation_map", row.get("validation_accuracy"))
        )
        assert value is not None
        if self.progress.best_value is None or value > self.progress.best_value:
            self.progress.best_value = value
            self.best = {name: tensor.detach().clone() for name, tensor in self._tensors().items()}

    def result(self) -> Result:
        """The selected weights, the history and what they cost."""
        seconds, epochs = self.progress.seconds, self.settings["epochs"]
        images = epochs * self.length.epoch * self.settings["batch"] * self.record["views"]
        peak = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0
        cost = {
            "seconds": seconds,
            "images_per_second": images / max(seconds, 1e-9),
            "peak_gpu_bytes": float(peak),
            "resumed": float(self.progress.resumed),
        }
        tensors = {name: tensor.detach().cpu() for name, tensor in (self.best or self._tensors()).items()}
        return Result(tensors | self.snapshots, self.progress.history, cost)

    def save(self) -> None:
        """Write the resume checkpoint."""
        tensors = {f"now.{name}": tensor for name, tensor in self._tensors().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= self.snapshots
        tensors |= ckpt.optimiser_tensors(self.stepper.optimiser)
        self.progress.scaler = self.stepper.scaler_state()
        ckpt.save_checkpoint(self.resume, tensors, self.progress)

    def restore(self) -> None:
        """Take up the resume checkpoint, if there is one."""
        found = ckpt.load_checkpoint(self.resume)
        if found is None:
            return
        tensors, self.progress = found
        self.progress.resumed += 1
        now, self.best = ckpt.subset(tensors, "now."), ckpt.subset(tensors, "best.")
        self.snapshots = {name: tensor for name, tensor in tensors.items() if is_snapshot(name)}
        self.model.load_state_dict({k: v for k, v in now.items() if not k.startswith("objective.")})
        self.objective.load_state_dict(ckpt.subset(now, "objective."))
        ckpt.restore_optimiser(self.stepper.optimiser, tensors)
        self.stepper.restore_scaler(self.progress.scaler)

    def _tensors(self) -> dict[str, torch.Tensor]:
        own = {f"objective.{name}": tensor for name, tensor in self.objective.state_dict().items()}
        return {**self.model.state_dict(), **own}

    def _resident(self, images: ImageSet) -> torch.Tensor:
        return torch.from_numpy(np.array(images.pixels)).to(self.device)  # a copy: the store is mapped, read-only

    def _outputs(self, images: torch.Tensor) -> Iterator[Outputs]:
        self.model.eval()
        for part in images.split(_EVALUATION_BATCH):
            with torch.no_grad(), autocast(self.device, self.settings["precision"]):
                outputs = self.model(self._input(plain(part)))
            beat(f"a batch through the network without training, of {self.hardware['name']}")
            yield outputs.float()
        self.model.train()

    def _plain_outputs(self) -> Iterator[tuple[Outputs, torch.Tensor]]:
        return zip(self._outputs(self.train), self.labels.split(_EVALUATION_BATCH), strict=True)

    def _last_step_if_broken(self, epoch: int) -> int | None:
        """The epoch's last step if it broke the weights, which no later loss would tell."""
        state = [*self.model.parameters(), *(t for t in self.objective.state_dict().values() if t.is_floating_point())]
        finite = torch.stack([tensor.isfinite().all() for tensor in state]).all()
        return None if bool(finite) else (epoch + 1) * self.length.epoch - 1

    def _not_finite(self, epoch: int, step: int) -> str:
        found = ckpt.load_checkpoint(self.resume)
        last = "none yet" if found is None else f"after {found[1].epoch} epochs"
        return (
            f"The loss or the weights of {self.hardware['name']} are NaN or infinite at step {step} (epoch {epoch}); "
            f"last good checkpoint: {last} ({self.resume}). Lower the learning rate or use precision fp32."
        )
