"""Switches of the training engine: quirks that change a number, by name (specification, `released` first).

The protocol sets them; a recipe may set one by hand. Some concern every objective; a record names the others under
``switches``, each with its value under ``released`` (also where its release differs from the one given here). A run
whose settings lack a switch does what the value under ``absent`` says.
"""

from collections.abc import Mapping
from typing import Any

from methods.settings.schema import nearest

SWITCHES: dict[str, dict[str, Any]] = {
    "lr_timing": {
        "values": ["after_step", "before_step"],
        "released": "before_step",
        "corrected": "before_step",
        "description": "whether the rate of step t is set before it or only after it was taken",
    },
    "drop_last": {
        "values": [False, True],
        "released": False,
        "corrected": False,
        "description": "leave out the last, smaller batch of an epoch",
    },
    "weight_decay_on_norm": {
        "values": [True, False],
        "released": True,
        "corrected": True,
        "description": "decay batch-norm parameters and biases too",
    },
    "lr_on_skipped_step": {
        "values": ["hold", "advance"],
        "released": "advance",
        "corrected": "advance",
        "description": "whether the rate stands still when the fp16 loss scaler skips a step",
    },
    "ema_on_skipped_step": {
        "values": ["update", "keep"],
        "released": "keep",
        "corrected": "keep",
        "description": "whether prototypes move when the fp16 loss scaler skips a step",
    },
    "criterion_precision": {
        "values": ["autocast", "fp32"],
        "released": "fp32",
        "corrected": "fp32",
        "description": "arithmetic of the objective under precision fp16 or bf16",
    },
    "checkpoint_rule": {
        "values": ["best_train_loss", "last"],
        "released": "last",
        "corrected": "last",
        "description": "weights that are kept where the recipe's selection is `last`",
    },
    "train_eval_norm": {
        "values": ["mismatched", "matched"],
        "released": "matched",
        "corrected": "matched",
        "description": "evaluate with the recipe's evaluation_normalisation, or with that of training",
    },
    "cider_lr_epoch": {
        "values": ["zero_based", "clipped_at_zero", "one_based"],
        "released": "zero_based",
        "corrected": "clipped_at_zero",
        "description": "how the schedule `cider` counts epochs; from zero its rate is negative in the first one",
    },
    "bn_mode": {
        "values": ["split_domains", "mixed"],
        "released": "split_domains",
        "corrected": "split_domains",
        "description": "batch statistics of ID and outlier images apart (running ones from ID only), or together",
    },
    "oe_iteration": {
        "values": ["zip_truncate", "cycle_oe"],
        "released": "zip_truncate",
        "corrected": "cycle_oe",
        "description": "end the epoch with the shorter loader, or draw outliers for every ID batch",
    },
    "schedule_steps": {
        "values": ["len_id_times_epochs", "actual_steps"],
        "released": "len_id_times_epochs",
        "corrected": "actual_steps",
        "description": "length of the schedule: ID batches times epochs, or the steps that are taken",
    },
    "momentum_cycling": {
        "values": [True, False],
        "released": True,
        "corrected": True,
        "description": "one-cycle moves the momentum from .95 to .85 and back",
    },
    "last_batch": {
        "values": ["keep", "drop_last", "clamp_k"],
        "released": "keep",
        "corrected": "clamp_k",
        "absent": "clamp_k",
        "description": "an ID batch of fewer than top_k images: an error, left out, or all of them are the tail",
    },
    "head_double_bn_update": {
        "values": [True, False],
        "released": True,
        "corrected": False,
        "absent": False,
        "description": "the head sees the ID images of a step twice, which moves its running statistics twice",
    },
    "bn_freeze_after_first_epoch": {
        "values": [True, False],
        "released": True,
        "corrected": False,
        "absent": False,
        "description": "from the second epoch on batch norm uses its running statistics and leaves them as they are",
    },
    "final_model": {
        "values": ["last_epoch", "best_val"],
        "released": "last_epoch",
        "corrected": "best_val",
        "description": "weights that are kept where the recipe's selection is `best_validation`",
    },
    "eval_transform": {
        "values": ["released_random", "deterministic"],
        "released": "released_random",
        "corrected": "deterministic",
        "description": "OOD images are evaluated through the random training augmentation, or as they are",
    },
    "energy_margin_sign": {
        "values": ["positive", "negative"],
        "released": "positive",
        "corrected": "negative",
        "description": "sign of both margins of the free energy, -logsumexp",
    },
    "oecc_reduction": {
        "values": ["sum", "mean"],
        "released": "sum",
        "corrected": "mean",
        "description": "OECC's two regularisers: summed over the images of a batch, or their mean",
    },
    "oecc_id_loss": {
        "values": ["cross_entropy", "bce"],
        "released": "cross_entropy",
        "corrected": "bce",
        "description": "OECC's loss of ID images: softmax cross-entropy with un-normalised labels, or BCE",
    },
}

ENGINE = ("drop_last", "weight_decay_on_norm", "lr_timing", "momentum_cycling")
OUTLIERS = ("bn_mode", "oe_iteration", "schedule_steps")
_NONE = object()


def switches_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the switches that concern an objective, given its record."""
    own = [name for name in record.get("switches", {}) if name not in ENGINE]
    return (*ENGINE, *own, *(OUTLIERS if record["needs_outliers"] else ()))


def resolve_switches(record: Mapping[str, Any], protocol: str, by_hand: Mapping[str, Any]) -> dict[str, Any]:
    """Every switch that concerns the objective with its value under ``protocol``."""
    released = record.get("switches", {}) if protocol == "released" else {}
    return {name: by_hand.get(name, released.get(name, SWITCHES[name][protocol])) for name in switches_of(record)}


def told_switches(switches: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a run is told: one that asks for what is done without it would only make the run start again."""
    return {name: value for name, value in switches.items() if value != SWITCHES[name].get("absent", _NONE)}


def switch_problems(record: Mapping[str, Any], by_hand: Mapping[str, Any], place: str) -> list[str]:
    """What is wrong with the switches that a recipe sets by hand."""
    known = switches_of(record)
    found = [
        f"{place} has the unknown switch {name!r}: {nearest(name, known)}" for name in by_hand if name not in known
    ]
    return found + [
        f"{place}.{name} is {value!r}, expected one of {SWITCHES[name]['values']}"
        for name, value in by_hand.items()
        if name in known and not any(value == v and type(value) is type(v) for v in SWITCHES[name]["values"])
    ]
