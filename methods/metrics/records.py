"""What metrics.csv holds: its columns, levels and metrics, in words for the reference; nothing that computes reads it.

A rule names the function whose docstring defines it, as ``module.function`` of this package. A metric of the level
``set`` is there as an average over groups as well (level ``group``) and for parts of the ID images (level ``tail``,
unless ``not_for_parts``).
"""

from typing import Any

COLUMNS = {
    "score": "score instance, by its name under `scores:` of the paper; empty where no score has a part in it",
    "level": "what the row is about, one of the levels below",
    "target": "what it was measured on: an OOD set, a group, a class, a part of the ID images, as the level says",
    "metric": "name of the metric, one of those below",
    "rule": "which of its definitions; empty where there is but one",
    "value": "as a share from 0 to 1 with every digit, where tables show percent; empty where it is not defined",
    "complete": "`<n> of <m>` sets of a group that could be had, else `1 of 1`; `undefined` for a class that all or no "
    "images have",
}

LEVELS = {
    "set": "ID test images against one OOD set, which `target` names",
    "group": "the mean over the OOD sets of the group that `target` names; empty if one of them is missing",
    "interval": "bounds of the 95 % bootstrap interval over images of the OOD set that `target` names, `:low95` or "
    "`:high95` standing after the rule; there if the config has a `bootstrap` above 0",
    "id": "how well the ID classes are known, `target` being `test`; several labels an image: mAP, else accuracy",
    "tuned": "what tuning chose: `target` is the parameter, `rule` the metric that decided, `value` what was chosen",
    "class": "several labels an image: one class of the ID test images, which `target` names",
    "tail": "several labels an image: the same metrics for a part of the ID test images. `target` is the part alone "
    "for its number of images, else `<part>:set:<OOD set>` or `<part>:group:<group>`; parts are `head`, `tail` and "
    "`without_<j>`, the images with none of the j most frequent classes",
}

RECORDS: dict[str, dict[str, Any]] = {
    "auroc": {
        "title": "AUROC",
        "levels": ["set", "interval"],
        "direction": 1,
        "meaning": "area under the ROC curve: how often an ID image scores higher than an OOD image",
        "rules": {"": "ranking.auroc"},
    },
    "fpr95": {
        "title": "FPR95",
        "levels": ["set", "interval"],
        "direction": -1,
        "meaning": "share of OOD images taken for ID where 95 % of ID images are recognised. There is seldom a "
        "threshold of exactly 95 %, so a rule says which one counts, tpr being 0.95 below; "
        "`fpr_rule` of a table chooses among them",
        "rules": {
            "closest": "ranking.fpr_closest",
            "at_least": "ranking.fpr_at_least",
            "percentile": "ranking.fpr_percentile",
            "ood_positive": "ranking.fpr_ood_positive",
        },
        "without_interval": ["percentile"],
    },
    "aupr_in": {
        "title": "AUPR-in",
        "levels": ["set"],
        "direction": 1,
        "meaning": "area under precision over recall with ID as the positive class; it depends on how many images each "
        "set has. `aupr_rule` of a table chooses the rule",
        "rules": {"average_precision": "counts.average_precision", "trapezoid": "counts.trapezoid_precision"},
    },
    "aupr_out": {
        "title": "AUPR-out",
        "levels": ["set"],
        "direction": 1,
        "meaning": "the same with OOD as the positive class and scores negated",
        "rules": {"average_precision": "counts.average_precision", "trapezoid": "counts.trapezoid_precision"},
    },
    "detection_error": {
        "title": "Detection error",
        "levels": ["set"],
        "direction": -1,
        "meaning": "how often the best threshold is wrong",
        "rules": {"": "ranking.detection_error"},
    },
    "oscr": {
        "title": "OSCR",
        "levels": ["set"],
        "direction": 1,
        "meaning": "knowing the classes and noticing the unknown in one number, one label an image. The rule says who "
        "names the class, as for accuracy",
        "rules": {"class_mean": "openset.oscr", "classifier": "openset.oscr", "prototype": "openset.oscr"},
        "not_for_parts": True,
    },
    "accuracy": {
        "title": "Accuracy",
        "levels": ["id"],
        "direction": 1,
        "meaning": "share of ID test images whose class is named right, one label an image: by the mean of the "
        "training embeddings of each class, by the largest logit (where there is a classifier), by the nearest "
        "prototype (where there are some)",
        "rules": {
            "class_mean": "identification.nearest_class_mean",
            "classifier": "identification.accuracy",
            "prototype": "identification.nearest_prototype",
        },
    },
    "ece": {
        "title": "Calibration error",
        "levels": ["id"],
        "direction": -1,
        "meaning": "expected calibration error of a classifier with one label an image, over 15 bins of equal width",
        "rules": {"15_bins": "calibration.expected_calibration_error"},
    },
    "map": {
        "title": "mAP",
        "levels": ["id"],
        "direction": 1,
        "meaning": "mean over classes of the area under precision over recall, several labels an image; classes that "
        "all or no test images have do not count",
        "rules": {"average_precision": "counts.average_precision", "trapezoid": "counts.trapezoid_precision"},
    },
    "map_classes": {
        "title": "Classes of mAP",
        "levels": ["id"],
        "direction": 0,
        "meaning": "number of classes that the mean is taken over",
        "rules": {"counted": "identification.rankable_classes"},
    },
    "ap": {
        "title": "AP",
        "levels": ["class"],
        "direction": 1,
        "meaning": "area under precision over recall of one class, by its logit",
        "rules": {"average_precision": "counts.average_precision", "trapezoid": "counts.trapezoid_precision"},
    },
    "positives": {
        "title": "Positives",
        "levels": ["class"],
        "direction": 0,
        "meaning": "number of ID test images that have the class",
        "rules": {"counted": ""},
    },
    "id_images": {
        "title": "ID images",
        "levels": ["tail"],
        "direction": 0,
        "meaning": "number of ID test images in a part",
        "rules": {"counted": ""},
    },
    "chosen": {
        "title": "Chosen value",
        "levels": ["tuned"],
        "direction": 0,
        "meaning": "value of a parameter that tuning took, by the metric that `tune_by` names",
        "rules": {"auroc": "", "fpr95": ""},
    },
}
