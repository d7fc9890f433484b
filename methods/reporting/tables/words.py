"""What tables say about themselves: captions with rules, seeds and protocol, and notes on marks and gaps."""

from collections.abc import Mapping
from typing import Any

from methods.reporting.tuned import untuned_notes

_FPR_RULES = {
    "closest": "FPR at the threshold whose TPR is closest to 95 %, ID positive",
    "at_least": "FPR at the highest threshold with a TPR of at least 95 %, ID positive",
    "percentile": "FPR strictly above the interpolated 5th percentile of ID scores, ID positive",
    "ood_positive": "FPR at a TPR of at least 95 %, OOD positive",
}
AREA_RULES = {
    "average_precision": "average precision",
    "trapezoid": "area under the precision-recall curve by trapezoids",
}
_ID_COLUMN = {
    "single_label": "ID accuracy by the classifier where the method has one, else by the nearest prototype",
    "multi_label": "mAP: mean over classes of average precision",
}


def detection_caption(settings: Mapping[str, Any], *more: str) -> str:
    """Caption of a table of detection metrics, ``more`` being what it says besides."""
    parts = [settings["caption"], f"Percent, {over_seeds(settings)}"]
    if "fpr95" in settings["metrics"]:
        parts.append(f"FPR95: {_FPR_RULES[settings['fpr_rule']]}")
    if {"aupr_in", "aupr_out"} & set(settings["metrics"]):
        parts.append(f"AUPR: {AREA_RULES[settings['aupr_rule']]}")
    return ". ".join([*parts, origin(settings), *more]) + "."


def id_column(settings: Mapping[str, Any]) -> str:
    """What stands in the column of the ID set."""
    return _ID_COLUMN[settings["task"]]


def origin(settings: Mapping[str, Any]) -> str:
    """Protocol and precision of the runs."""
    return f"Protocol: {', '.join(protocols_of(settings))}; precision {settings['precision']}"


def over_seeds(settings: Mapping[str, Any]) -> str:
    """What the numbers are taken over."""
    seeds = ", ".join(map(str, settings["seeds"]))
    return f"mean ± standard deviation over seeds {seeds}" if len(settings["seeds"]) > 1 else f"seed {seeds}"


def protocols_of(settings: Mapping[str, Any]) -> list[str]:
    """Protocols of the runs, in their order."""
    return list(dict.fromkeys(protocol for _, protocol, *_ in settings["runs"]))


def row_label(label: str, protocol: str, protocols: list[str]) -> str:
    """A method's label, with the protocol where there are several."""
    return label if len(protocols) == 1 else f"{label} ({protocol})"


def detection_notes(settings: Mapping[str, Any]) -> list[str]:
    """Notes of a table of detection metrics: stand-ins, gaps, and what was left out."""
    stand_ins = [part for part in settings["sets"] if part["relation"]]
    notes = [f"* {p['title']}: {p['relation']['kind']} in the place of {p['relation']['of']}." for p in stand_ins]
    for part in settings["sets"]:
        if part["shared_classes"]:
            notes.append(
                f"{part['title']} is labelled with classes of the ID set: {', '.join(part['shared_classes'])}."
            )
    notes += [*exposure_notes(settings), *view_notes(settings)]
    if gone := [part["title"] for part in settings["sets"] if not part["available"]]:
        notes.append(f"n/a: {', '.join(gone)} not available here; averages that lack a set stay blank (n of m).")
    notes += left_out_notes(settings)
    for score, label, reason in settings["left_out_scores"]:
        notes.append(f"{score} is left out for {label}: it needs {reason}.")
    return [*notes, *imported_notes(settings), *untuned_notes(settings["tuning"]["untuned"])]


def exposure_notes(settings: Mapping[str, Any]) -> list[str]:
    """Note on outliers that may show ID classes, which the paper allows for a reason."""
    if (exposure := settings.get("exposure")) is None:
        return []
    shown = f" ({', '.join(exposure['classes'])})" if exposure["classes"] else ""
    return [f"Outliers ({exposure['title']}) may show classes of the ID set{shown}: {exposure['reason']}."]


def view_notes(settings: Mapping[str, Any]) -> list[str]:
    """Note on images that are evaluated through the random augmentation of training, as released code does."""
    if (views := settings.get("random_views")) is None:
        return []
    which = "OOD and ID test images" if views["id"] else "OOD images, but not ID ones,"
    return [f"{', '.join(views['methods'])}: {which} are seen through the random augmentation of training."]


def left_out_notes(settings: Mapping[str, Any]) -> list[str]:
    """Notes on methods that lack their outliers."""
    return [
        f"{label} is left out: its outlier set {title} is not available here." for label, title in settings["left_out"]
    ]


def imported_notes(settings: Mapping[str, Any]) -> list[str]:
    """Notes on methods that were not trained here."""
    return [f"{label} is an imported checkpoint: one run, whatever the seeds." for label in settings["imported"]]
