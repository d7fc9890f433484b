"""The fit loop with a tiny network on random 8x8 images: what it learns, repeats, resumes, selects and refuses."""

import copy
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.networks.model import build_model
from methods.objectives import adapt, bce, cross_entropy, edge
from methods.objectives.base import Terms
from methods.training import fit as engine
from methods.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from methods.training.device import autocast, choose_device, keep_freed_memory, prepare_device, seeded
from methods.training.epoch import EpochSums
from methods.training.fit import FitData, fit
from methods.training.optimisers import Stepper
from methods.training.outliers import forward_with_outliers, held_running_statistics
from methods.training.resume import forget_finished, resume_folder
from methods.training.switches import resolve_switches

ROOT = Path(__file__).resolve().parents[1]
CLASSES = 3
MODULES = {"cross_entropy": cross_entropy, "adapt": adapt, "bce": bce, "edge": edge}
HARDWARE = {"device": "cpu", "deterministic": True, "checkpoint_seconds": math.inf, "name": "toy/run/seed0"}
ALWAYS = {**HARDWARE, "checkpoint_seconds": 0}
ADAM = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0, "momentum": 0.9, "nesterov": True}
PARAMETERS = {
    "adapt": {"prototypes_per_class": 2, "top_k": 1, "prototype_momentum": 0.9},
    "edge": {"top_k": 4, "start_epoch": 1},
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


class Interrupted(Exception):
    """Stands for whatever ends a process."""


def settings(name, **changes):
    """Settings of one training, in the form that ``methods.settings.steps.train_settings`` gives."""
    record, contrastive = MODULES[name].RECORD, name == "adapt"
    defaults = {key: part["default"] for key, part in record["parameters"].items()}
    multi = record["tasks"] == ["multi_label"]
    head = {"kind": "two_layer" if multi else "linear", "hidden": 6}
    base = {
        "task": "multi_label" if multi else "single_label",
        "architecture": {
            "network": {"name": "cifar_resnet", "blocks": [1], "widths": [4]},
            "classes": CLASSES,
            "head": None if contrastive else head,
            "projector": {"hidden": 8, "dimension": 4} if contrastive else None,
        },
        "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        "objective": {"name": name, **defaults, **PARAMETERS.get(name, {})},
        "switches": resolve_switches(record, "corrected", changes.pop("switches", {})),
        "precision": "fp32",
        "protocol": "corrected",
        "seed": 0,
        "augmentation": {"random_crop": {"padding": 1}, "horizontal_flip": 0.5},
        "optimiser": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4, "momentum": 0.9, "nesterov": True},
        "schedule": {"name": "warmup_cosine", "warmup_epochs": 1, "final_rate": 1e-3},
        "epochs": 4,
        "batch": 16,
        "selection": {"rule": "last"},
        "cpu_threads": 1,
    }
    return {**base, **({"outlier_batch": 8} if record["needs_outliers"] else {}), **changes}


def images(count, multi=False, seed=0):
    """Noise, with a share of brightness in the channel of every class the image has."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 156, (count, 8, 8, 3))
    labels = draw.integers(0, 2, (count, CLASSES)) if multi else np.arange(count) % CLASSES
    shown = labels if multi else np.eye(CLASSES, dtype=np.int64)[labels]
    pixels = (pixels + 100 * shown[:, None, None, :]).astype(np.uint8)
    ids = tuple(f"image-{number}" for number in range(count))
    return ImageSet(pixels, labels.astype(np.uint8 if multi else np.int64), ids, tuple("abc"))


def noise(count, seed=9):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return ImageSet(pixels, np.full(count, -1), tuple(map(str, range(count))), ())


def data(name, train=50, outliers=20, validation=24):
    record = MODULES[name].RECORD
    multi = record["tasks"] == ["multi_label"]
    held_out = images(validation, multi, seed=1) if "head" in record["needs"] else None
    return FitData(images(train, multi), held_out, noise(outliers) if record["needs_outliers"] else None)


def without_validation(sets):
    return FitData(sets.train, None, sets.outliers)


def run(recipe, tmp_path, sets=None, hardware=HARDWARE, file="checkpoint.safetensors"):
    return fit(recipe, sets or data(recipe["objective"]["name"]), hardware, tmp_path / file)


def identical(a, b):
    """Whether two results hold the same tensors, bit for bit, and the same history."""
    same = [torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors]
    return a.tensors.keys() == b.tensors.keys() and all(same) and a.history == b.history


def recorded_steps(monkeypatch, stop=None):
    """(epoch, step) of every training step from now on; the step ``stop`` raises."""
    steps, original = [], engine.generator

    def watched(seed, purpose, epoch=0, step=0):
        if purpose == "augmentation":
            if step == stop:
                raise Interrupted
            steps.append((epoch, step))
        return original(seed, purpose, epoch, step)

    monkeypatch.setattr(engine, "generator", watched)
    return steps


def interrupted(recipe, tmp_path, monkeypatch, stop, **more):
    with monkeypatch.context() as patch:
        recorded_steps(patch, stop)
        with pytest.raises(Interrupted):
            run(recipe, tmp_path, hardware=ALWAYS, **more)


def failing_loss(monkeypatch, step, value=torch.nan):
    original = cross_entropy.CrossEntropy.loss

    def loss(self, outputs, outlier_outputs, labels, context):
        terms = original(self, outputs, outlier_outputs, labels, context)
        return Terms(terms.total * value, terms.parts) if context.step == step else terms

    monkeypatch.setattr(cross_entropy.CrossEntropy, "loss", loss)


@pytest.mark.parametrize("name", list(MODULES))
def test_the_loss_falls_on_a_set_that_can_be_learned(name, tmp_path):
    recipe = settings(name, epochs=8)
    recipe["objective"] = {**recipe["objective"], **({"start_epoch": 0} if name == "edge" else {})}
    history = run(recipe, tmp_path).history
    assert [row["epoch"] for row in history] == list(range(8))
    assert history[-1]["total"] < 0.9 * history[0]["total"]
    assert all(math.isfinite(value) for row in history for value in row.values())


@pytest.mark.parametrize(("name", "column"), [("cross_entropy", "validation_accuracy"), ("bce", "validation_map")])
def test_the_classes_of_unseen_images_are_learned(name, column, tmp_path):
    history = run(settings(name, epochs=12), tmp_path).history
    assert history[-1][column] > 0.7


@pytest.mark.parametrize("name", list(MODULES))
def test_one_seed_gives_one_result_and_another_another(name, tmp_path):
    recipe = settings(name, epochs=2)
    first = run(recipe, tmp_path)
    torch.manual_seed(123)
    assert identical(first, run(recipe, tmp_path))
    other = run({**recipe, "seed": 1}, tmp_path)
    assert first.history != other.history
    moved = [not torch.equal(first.tensors[n], other.tensors[n]) for n in first.tensors if n.endswith("conv1.weight")]
    assert moved == [True]


def test_training_does_not_touch_the_global_random_state(tmp_path):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    run(settings("edge", epochs=1), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("checkpoint_seconds", [0, 1e-3])
def test_checkpoints_change_nothing(checkpoint_seconds, tmp_path):
    recipe = settings("cross_entropy", epochs=2)
    often = run(recipe, tmp_path, hardware={**HARDWARE, "checkpoint_seconds": checkpoint_seconds})
    assert identical(often, run(recipe, tmp_path, file="other"))


def test_validation_without_selection_on_it_changes_no_weight(tmp_path):
    recipe = settings("cross_entropy", epochs=2)
    watched = run(recipe, tmp_path)
    alone = run(recipe, tmp_path, without_validation(data("cross_entropy")))
    assert all(torch.equal(watched.tensors[name], alone.tensors[name]) for name in alone.tensors)
    assert "validation_accuracy" not in alone.history[0]


RESUMED = {
    "cross entropy": settings("cross_entropy"),
    "prototypes": settings("adapt"),
    "outliers, best validation": settings("edge", selection={"rule": "best_validation"}),
    "best training loss": settings("cross_entropy", selection={"rule": "best_train_loss"}),
    "Adam": settings("bce", optimiser=ADAM, schedule={"name": "one_cycle"}),
    "one-cycle momentum": settings("edge", schedule={"name": "one_cycle"}),
    "rate after the step": settings("adapt", switches={"lr_timing": "after_step"}),
    "shortened epochs": settings("edge", switches={"oe_iteration": "zip_truncate"}),
    "half precision": settings("adapt", precision="bf16"),
}


@pytest.mark.parametrize("case", list(RESUMED))
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(case, tmp_path, monkeypatch):
    recipe = RESUMED[case]
    whole = run(recipe, tmp_path, file="never_interrupted")
    interrupted(recipe, tmp_path, monkeypatch, stop=10)
    resumed = run(recipe, tmp_path)
    assert identical(whole, resumed)
    assert resumed.cost["resumed"] == 1


def test_a_snapshot_holds_what_a_training_was_after_an_epoch(tmp_path, monkeypatch):
    short = settings("adapt", schedule={"name": "constant"}, epochs=1)
    long = {**short, "epochs": 4, "snapshots": [1, 3]}
    whole, one = run(long, tmp_path, file="never_interrupted"), run(short, tmp_path, file="one_epoch")
    plain = run({**long, "snapshots": []}, tmp_path, file="without")
    assert all(torch.equal(whole.tensors[f"after1.{name}"], tensor) for name, tensor in one.tensors.items())
    assert all(torch.equal(whole.tensors[name], tensor) for name, tensor in plain.tensors.items())
    epochs = {name.split(".")[0] for name in whole.tensors if name.startswith("after")}
    assert epochs == {"after1", "after3"}
    assert not torch.equal(whole.tensors["after1.objective.prototypes"], whole.tensors["objective.prototypes"])
    interrupted(long, tmp_path, monkeypatch, stop=9)  # in the third epoch: the first snapshot lies in the checkpoint
    assert identical(whole, run(long, tmp_path))


def test_a_training_interrupted_twice_is_still_the_same(tmp_path, monkeypatch):
    recipe = settings("adapt")
    for stop in (4, 13):
        interrupted(recipe, tmp_path, monkeypatch, stop)
    resumed = run(recipe, tmp_path)
    assert resumed.cost["resumed"] == 2
    assert identical(resumed, run(recipe, tmp_path, file="never_interrupted"))


def test_a_resumed_training_takes_only_the_steps_that_are_left(tmp_path, monkeypatch):
    recipe = settings("cross_entropy")
    interrupted(recipe, tmp_path, monkeypatch, stop=9)  # four steps an epoch: in the middle of the third
    steps = recorded_steps(monkeypatch)
    run(recipe, tmp_path)
    assert steps == [(step // 4, step) for step in range(8, 16)]


def test_a_resumed_training_starts_from_the_weights_in_the_checkpoint(tmp_path, monkeypatch):
    recipe, path = settings("cross_entropy"), tmp_path / "checkpoint.safetensors"
    whole = run(recipe, tmp_path, file="never_interrupted")
    interrupted(recipe, tmp_path, monkeypatch, stop=9)
    tensors, progress = load_checkpoint(path)
    save_checkpoint(path, {**tensors, "now.head.classifier.bias": torch.tensor([9.0, 0.0, 0.0])}, progress)
    assert not identical(whole, run(recipe, tmp_path))


def test_a_finished_training_is_read_from_its_checkpoint_without_a_step(tmp_path, monkeypatch):
    recipe = settings("edge", selection={"rule": "best_validation"})
    whole = run(recipe, tmp_path, hardware=ALWAYS)
    steps = recorded_steps(monkeypatch)
    assert identical(whole, run(recipe, tmp_path))
    assert steps == []


def test_no_checkpoint_is_written_before_its_time(tmp_path):
    run(settings("cross_entropy", epochs=1), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_gives_back_tensors_and_progress(tmp_path):
    history = [{"epoch": 0.0, "total": 1 / 3}]
    progress = Progress(3, history, -0.1, 2.5, 1, {"scale": 65536.0})
    tensors = {"now.a": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), "now.b": torch.tensor(7)}
    save_checkpoint(tmp_path / "c", tensors, progress)
    found, same = load_checkpoint(tmp_path / "c")
    assert same == progress
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_no_checkpoint_is_no_error(tmp_path):
    assert load_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint at all", None, "foreign"])
def test_a_damaged_checkpoint_is_refused_by_name(damage, tmp_path, monkeypatch):
    recipe, path = settings("cross_entropy"), tmp_path / "checkpoint.safetensors"
    interrupted(recipe, tmp_path, monkeypatch, stop=9)
    if damage == "foreign":
        save_file({"now.a": torch.zeros(1)}, path)
    else:
        path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    with pytest.raises(ReproError, match="damaged") as caught:
        run(recipe, tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_that_is_not_finite_is_refused_naming_step_and_checkpoint(value, tmp_path, monkeypatch):
    failing_loss(monkeypatch, step=9, value=value)
    with pytest.raises(ReproError, match=r"toy/run/seed0 .* at step 9 \(epoch 2\)") as caught:
        run(settings("cross_entropy"), tmp_path, hardware=ALWAYS)
    assert "after 2 epochs" in str(caught.value)
    assert str(tmp_path / "checkpoint.safetensors") in str(caught.value)
    assert load_checkpoint(tmp_path / "checkpoint.safetensors")[1].epoch == 2


def test_without_a_checkpoint_the_refusal_names_none(tmp_path, monkeypatch):
    failing_loss(monkeypatch, step=6)
    with pytest.raises(ReproError, match=r"step 6 .* none yet"):
        run(settings("cross_entropy"), tmp_path)


def test_the_refusal_names_the_checkpoint_on_disk_and_not_the_last_epoch(tmp_path, monkeypatch):
    recipe = settings("cross_entropy")
    interrupted(recipe, tmp_path, monkeypatch, stop=5)
    failing_loss(monkeypatch, step=14)
    with pytest.raises(ReproError, match=r"step 14 .* after 1 epochs"):
        run(recipe, tmp_path)


@pytest.mark.parametrize("name", list(MODULES))
def test_a_rate_far_too_large_is_refused(name, tmp_path):
    recipe = settings(name, schedule={"name": "constant"})
    recipe["optimiser"] = {**recipe["optimiser"], "learning_rate": 1e30}
    with pytest.raises(ReproError, match=r"NaN or infinite at step [1-9]"):
        run(recipe, tmp_path)


def test_weights_broken_by_the_very_last_step_are_refused(tmp_path, monkeypatch):
    recipe, last = settings("cross_entropy"), 4 * 4 - 1
    step = Stepper.step

    def breaking(self, loss):
        skipped = step(self, loss)
        breaking.calls += 1
        if breaking.calls == last + 1:
            next(iter(self.optimiser.param_groups[0]["params"])).data.fill_(torch.nan)
        return skipped

    breaking.calls = 0
    monkeypatch.setattr(Stepper, "step", breaking)
    with pytest.raises(ReproError, match=f"NaN or infinite at step {last} "):
        run(recipe, tmp_path)


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_last_batch_of_one_image_is_refused_where_batch_norm_needs_two(drop_last, tmp_path):
    recipe = settings("bce", switches={"drop_last": drop_last})
    sets = without_validation(data("bce", train=49))
    if drop_last:
        assert len(run(recipe, tmp_path, sets).history) == 4
    else:
        with pytest.raises(ReproError, match="49 images in batches of 16 leave a last batch of one"):
            run(recipe, tmp_path, sets)


def test_sums_remember_the_first_bad_step_and_average_the_terms():
    sums = EpochSums(torch.device("cpu"))
    for step, value in ((3, 1.0), (4, torch.nan), (5, torch.inf), (6, 2.0)):
        sums.add(Terms(torch.tensor(value), {"part": torch.tensor(float(step))}), step)
    assert sums.first_bad_step == 4
    assert sums.means()["part"] == 4.5


def test_sums_without_a_bad_step_name_none():
    sums = EpochSums(torch.device("cpu"))
    sums.add(Terms(torch.tensor(1.0), {}, {"monitor": torch.tensor(2.0)}), 0)
    assert sums.first_bad_step is None
    assert sums.means() == {"total": 1.0, "monitor": 2.0}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(50) % 4, "4 classes, the network has 3"),
        (np.arange(50) % 3 - 1, "labels of 2 classes"),
        (np.zeros((50, 3), dtype=np.uint8), "multi_label images, the benchmark is single_label"),
    ],
)
def test_labels_that_do_not_fit_a_single_label_task_are_refused(labels, message, tmp_path):
    good = images(50)
    wrong = ImageSet(good.images, labels, good.sample_ids, good.classes)
    with pytest.raises(ReproError, match=message):
        run(settings("cross_entropy"), tmp_path, FitData(wrong))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((50, 2), dtype=np.uint8), "2 classes, the network has 3"),
        (np.zeros((50, 4), dtype=np.uint8), "4 classes, the network has 3"),
        (np.arange(50) % 3, "single_label images, the benchmark is multi_label"),
    ],
)
def test_labels_that_do_not_fit_a_multi_label_task_are_refused(labels, message, tmp_path):
    good = images(50)
    wrong = ImageSet(good.images, labels, good.sample_ids, good.classes)
    with pytest.raises(ReproError, match=message):
        run(settings("bce"), tmp_path, FitData(wrong))


SCRIPT = [0.2, 0.5, 0.9, 0.4, 0.9]  # how good each epoch is made to look; the third is the first of the best


def look_good(monkeypatch, rule):
    """Let the epochs look as good as the script has it, by a constant in the loss or by the validation metric."""
    values, original = iter(SCRIPT), cross_entropy.CrossEntropy.loss

    def loss(self, outputs, outlier_outputs, labels, context):
        terms = original(self, outputs, outlier_outputs, labels, context)
        return Terms(terms.total - terms.total.detach() - SCRIPT[context.epoch])  # same gradient, chosen value

    if rule == "best_train_loss":
        monkeypatch.setattr(cross_entropy.CrossEntropy, "loss", loss)
    else:
        for metric in ("accuracy", "mean_average_precision"):
            monkeypatch.setattr(engine, metric, lambda scores, labels: next(values))


@pytest.mark.parametrize(
    ("name", "rule"),
    [("cross_entropy", "best_validation"), ("bce", "best_validation"), ("cross_entropy", "best_train_loss")],
)
def test_the_weights_of_the_first_best_epoch_are_kept(name, rule, tmp_path, monkeypatch):
    recipe = settings(name, epochs=5, schedule={"name": "constant"}, selection={"rule": rule})
    three_epochs = run({**recipe, "epochs": 3, "selection": {"rule": "last"}}, tmp_path)
    look_good(monkeypatch, rule)
    result = run(recipe, tmp_path)
    assert len(result.history) == 5
    assert all(torch.equal(result.tensors[n], three_epochs.tensors[n]) for n in three_epochs.tensors)


def test_the_last_weights_are_kept_without_selection(tmp_path):
    recipe = settings("cross_entropy")
    result = run(recipe, tmp_path, hardware=ALWAYS)
    now = load_file(tmp_path / "checkpoint.safetensors")
    assert all(torch.equal(result.tensors[n], now[f"now.{n}"]) for n in result.tensors)
    assert not any(name.startswith("best.") for name in now)


def normed():
    torch.manual_seed(0)
    parts = {**settings("edge")["architecture"], "projector": {"hidden": 8, "dimension": 4}}
    return build_model(parts).train()


def batches():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, 8, 8, generator=draw), 3 + 2 * torch.randn(5, 3, 8, 8, generator=draw)


def same_outputs(found, expected):
    for part in ("pooled", "embedding", "logits", "projection"):
        torch.testing.assert_close(getattr(found, part), getattr(expected, part), rtol=1e-6, atol=1e-6)


def same_buffers(found, expected):
    pairs = zip(found.named_buffers(), expected.buffers(), strict=True)
    return {name for (name, a), b in pairs if not torch.equal(a, b)} == set()


def test_split_domains_are_two_separate_passes():
    model, (inside, outside) = normed(), batches()
    expected = copy.deepcopy(model)(inside), copy.deepcopy(model)(outside)
    for found, alone in zip(forward_with_outliers(model, inside, outside, "split_domains"), expected, strict=True):
        same_outputs(found, alone)


def test_split_domains_leave_the_running_statistics_of_the_id_batch_only():
    model, (inside, outside) = normed(), batches()
    alone = copy.deepcopy(model)
    alone(inside)
    fresh = copy.deepcopy(model)
    forward_with_outliers(model, inside, outside, "split_domains")
    assert same_buffers(model, alone)
    assert not same_buffers(model, fresh)


def test_mixed_domains_are_one_joint_pass():
    model, (inside, outside) = normed(), batches()
    joint = copy.deepcopy(model)
    expected = joint(torch.cat([inside, outside]))
    found = forward_with_outliers(model, inside, outside, "mixed")
    same_outputs(found[0], expected.map(lambda part: part[:6]))
    same_outputs(found[1], expected.map(lambda part: part[6:]))
    assert same_buffers(model, joint)


def test_gradients_flow_from_both_domains_when_split():
    model, (inside, outside) = normed(), batches()
    first, second = copy.deepcopy(model), copy.deepcopy(model)
    (first(inside).logits.square().mean() + second(outside).logits.square().mean()).backward()
    a, b = forward_with_outliers(model, inside, outside, "split_domains")
    (a.logits.square().mean() + b.logits.square().mean()).backward()
    for p, q, r in zip(model.head.parameters(), first.head.parameters(), second.head.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad + r.grad, rtol=1e-5, atol=1e-6)


def test_running_statistics_move_again_after_they_were_held_even_after_an_error():
    model, (inside, _) = normed(), batches()
    with pytest.raises(Interrupted), held_running_statistics(model):
        raise Interrupted
    before = copy.deepcopy(model)
    model(inside)
    assert not same_buffers(model, before)


def test_bn_mode_reaches_the_training(tmp_path):
    split, mixed = (
        run(settings("edge", epochs=1, switches={"bn_mode": mode}), tmp_path) for mode in ("split_domains", "mixed")
    )
    assert split.history[0]["total"] != mixed.history[0]["total"]
    steps = "backbone.stem.1.num_batches_tracked"
    assert split.tensors[steps] == mixed.tensors[steps] == 4  # one update a step: outliers count for none


@pytest.mark.parametrize(
    ("iteration", "outliers", "steps"), [("zip_truncate", 20, 3), ("zip_truncate", 99, 4), ("cycle_oe", 20, 4)]
)
def test_an_epoch_ends_with_the_shorter_loader_only_where_both_are_zipped(
    iteration, outliers, steps, tmp_path, monkeypatch
):
    taken = recorded_steps(monkeypatch)
    run(
        settings("edge", epochs=2, switches={"oe_iteration": iteration}),
        tmp_path,
        data("edge", outliers=outliers),
    )
    assert taken == [(step // steps, step) for step in range(2 * steps)]


@pytest.mark.parametrize(("length", "annealed"), [("actual_steps", True), ("len_id_times_epochs", False)])
def test_a_shortened_epoch_anneals_only_over_the_steps_taken(length, annealed, tmp_path):
    switches = {"oe_iteration": "zip_truncate", "schedule_steps": length}
    recipe = settings("edge", switches=switches, schedule={"name": "one_cycle"})
    rate = run(recipe, tmp_path, data("edge", outliers=10)).history[-1]["learning_rate"]
    assert (rate == pytest.approx(0.1 / 25e4)) is annealed
    assert 0 < rate < 0.1


@pytest.mark.parametrize(("drop", "sizes"), [(False, [16, 16, 16, 2]), (True, [16, 16, 16])])
def test_the_last_batch_is_dropped_where_the_switch_says_so(drop, sizes, tmp_path, monkeypatch):
    seen, original = [], cross_entropy.CrossEntropy.loss

    def loss(self, outputs, outlier_outputs, labels, context):
        seen.append(len(labels))
        return original(self, outputs, outlier_outputs, labels, context)

    monkeypatch.setattr(cross_entropy.CrossEntropy, "loss", loss)
    run(settings("cross_entropy", epochs=2, switches={"drop_last": drop}), tmp_path)
    assert seen == sizes * 2


@pytest.mark.parametrize("timing", ["before_step", "after_step"])
def test_history_names_the_rate_of_the_last_step(timing, tmp_path):
    recipe = settings("cross_entropy", epochs=2, switches={"lr_timing": timing})
    first = run(recipe, tmp_path).history[0]["learning_rate"]
    assert first == pytest.approx(0.1 * (3 if timing == "before_step" else 2) / 4)


@pytest.mark.parametrize("name", list(MODULES))
def test_bfloat16_trains_on_a_cpu_with_the_loss_in_float32(name, tmp_path, monkeypatch):
    seen, cls = [], type(engine.build(settings(name), torch.device("cpu"))[1])
    original = cls.loss

    def loss(self, outputs, outlier_outputs, labels, context):
        terms = original(self, outputs, outlier_outputs, labels, context)
        read = [outputs.logits, outputs.projection, outlier_outputs and outlier_outputs.logits, terms.total]
        seen.extend(tensor.dtype for tensor in read if tensor is not None)
        return terms

    monkeypatch.setattr(cls, "loss", loss)
    result = run(settings(name, precision="bf16"), tmp_path)
    assert set(seen) == {torch.float32}
    assert all(math.isfinite(row["total"]) for row in result.history)
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in result.tensors.values())
    assert result.history != run(settings(name), tmp_path).history


def test_outliers_are_augmented_in_float32_as_the_id_images_are(tmp_path, monkeypatch):
    seen, original = [], engine.normalise
    monkeypatch.setattr(engine, "normalise", lambda *of: seen.append(original(*of)) or seen[-1])
    crop = {"random_resized_crop": {"area": [0.5, 1.0], "aspect": [0.75, 4 / 3]}}
    run(settings("edge", epochs=1, precision="bf16", augmentation=crop), tmp_path)
    assert len(seen) >= 8
    assert {x.dtype for x in seen} == {torch.float32}


def test_tensors_of_the_objective_are_in_the_result_and_have_moved(tmp_path):
    recipe = settings("adapt")
    result = run(recipe, tmp_path)
    own = {name for name in result.tensors if name.startswith("objective.")}
    assert own == {"objective.prototypes", "objective.prototype_classes"}
    prototypes = result.tensors["objective.prototypes"]
    _, fresh = engine.build(recipe, torch.device("cpu"))
    assert prototypes.shape == (6, 4)
    torch.testing.assert_close(prototypes.norm(dim=1), torch.ones(6))
    assert not torch.allclose(prototypes, fresh.prototypes)
    assert result.tensors["objective.prototype_classes"].tolist() == [0, 1, 2, 0, 1, 2]


def test_tensors_of_a_result_belong_to_named_parts(tmp_path):
    parts = {name: {n.split(".")[0] for n in run(settings(name, epochs=1), tmp_path).tensors} for name in MODULES}
    classifier = {"backbone", "head"}
    contrastive = {"backbone", "projector", "objective"}
    assert parts == {"cross_entropy": classifier, "bce": classifier, "edge": classifier, "adapt": contrastive}


def test_an_objective_sees_the_plain_training_set_once_and_in_order(tmp_path, monkeypatch):
    seen = []

    def initialise(self, loader):
        seen.extend((outputs.projection.shape[0], labels.tolist()) for outputs, labels in loader)

    monkeypatch.setattr(adapt.Adapt, "initialise", initialise)
    interrupted(settings("adapt"), tmp_path, monkeypatch, stop=5)
    run(settings("adapt"), tmp_path)
    assert seen == [(50, images(50).labels.tolist())]


def test_two_views_are_view_major_and_differ(tmp_path, monkeypatch):
    seen, original = [], adapt.Adapt.loss

    def loss(self, outputs, outlier_outputs, labels, context):
        seen.append((outputs.pooled.detach().clone(), labels))
        return original(self, outputs, outlier_outputs, labels, context)

    monkeypatch.setattr(adapt.Adapt, "loss", loss)
    recipe = settings("adapt", epochs=1)
    run(recipe, tmp_path)
    run({**recipe, "augmentation": {}}, tmp_path)
    (augmented, labels), (plain, _) = seen[0], seen[4]
    assert len(augmented) == 2 * len(labels) == 32
    assert not torch.allclose(augmented[:16], augmented[16:])
    torch.testing.assert_close(plain[:16], plain[16:])


def test_the_folder_is_named_by_the_fingerprint_and_goes_once_the_model_is_accepted(tmp_path):
    model = tmp_path / "model"
    with resume_folder(tmp_path / "resume", "f" * 64, model) as folder:
        assert folder == tmp_path / "resume" / ("f" * 32)
        (folder / "checkpoint").write_text("something")
        model.touch()
        forget_finished(tmp_path / "resume", set())
        assert (folder / "checkpoint").exists()  # not done
    forget_finished(tmp_path / "resume", {str(model)})
    assert (folder / "checkpoint").exists()  # it is to be made again
    model.unlink()
    forget_finished(tmp_path / "resume", set())
    assert (folder / "checkpoint").exists()  # Snakemake has refused it
    model.touch()
    with resume_folder(tmp_path / "resume", "f" * 64, model):
        forget_finished(tmp_path / "resume", set())
        assert (folder / "checkpoint").exists()  # somebody is at work
    forget_finished(tmp_path / "resume", set())
    assert not folder.exists()


def test_the_folder_is_kept_after_an_error_and_can_be_taken_up(tmp_path):
    def break_off():
        with resume_folder(tmp_path, "a", "model") as folder:
            (folder / "checkpoint").write_text("something")
            raise Interrupted

    with pytest.raises(Interrupted):
        break_off()
    with resume_folder(tmp_path, "a", "model") as again:
        assert (again / "checkpoint").read_text() == "something"


def test_a_second_handle_on_the_folder_is_refused_and_harms_nothing(tmp_path):
    with resume_folder(tmp_path, "a", "model") as folder:
        (folder / "checkpoint").write_text("something")
        with pytest.raises(ReproError, match="Another process") as caught, resume_folder(tmp_path, "a", "model"):
            pass
        assert str(folder) in str(caught.value)
        assert (folder / "checkpoint").read_text() == "something"


def test_another_process_is_refused_and_other_folders_are_free(tmp_path):
    code = (
        "import sys; from pathlib import Path; from methods.training.resume import resume_folder\n"
        "with resume_folder(Path(sys.argv[1]), sys.argv[2], 'model'): print('open')"
    )

    def other_process(name):
        command = [sys.executable, "-c", code, str(tmp_path), name]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    with resume_folder(tmp_path, "a", "model"):
        refused, free = other_process("a"), other_process("b")
    assert refused.returncode == 1
    assert "Another process is training the same model" in refused.stderr
    assert (free.returncode, free.stdout) == (0, "open\n")
    assert other_process("a").returncode == 0


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ReproError, match="sees no GPU"):
        choose_device("cuda")
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


def test_preparing_the_device_sets_the_threads_of_the_recipe():
    prepare_device("cpu", 2, True)
    assert torch.get_num_threads() == 2
    prepare_device("cpu", 1, True)
    assert torch.get_num_threads() == 1


FAULTS = """
import resource, sys, torch
from methods.training.device import prepare_device

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(24 << 20)  # 96 MB, 24,576 pages of 4 KB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

alone = faults()
prepare_device("cpu", 1, True)
faults()
print(alone, faults())
"""


def faults_before_and_after_preparing(**variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "THP_"))}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env={**environment, **variables}, check=True, capture_output=True, text=True
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_a_training_on_a_cpu_keeps_the_memory_it_frees():
    alone, kept = faults_before_and_after_preparing()
    assert alone > 100
    assert kept < alone / 20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_an_allocator_that_the_user_set_is_left_alone():
    alone, after = faults_before_and_after_preparing(MALLOC_MMAP_THRESHOLD_="65536")
    assert after > alone / 2


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("methods.training.device.ctypes.CDLL", lambda name: object())
    keep_freed_memory()


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_that_of_products_inside(precision, dtype):
    with autocast(torch.device("cpu"), precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_seeded_draws_follow_from_the_seed_and_leave_the_outside_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    with seeded(5):
        assert torch.equal(torch.rand(3), first)
