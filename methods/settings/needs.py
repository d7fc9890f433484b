"""What a score needs of a run, and whether the run has it."""

from methods.registry import records
from methods.settings.study import Study

_WORDS = {
    "logits": "logits (the recipe has no classifier head)",
    "classifier": "a classifier (the recipe has no classifier head)",
    "projection": "a projection (the recipe has no projector)",
    "prototypes": "prototypes (the objective has none, or the checkpoint was imported without)",
}


def unmet_needs(study: Study, benchmark: str, method: str, instance: str) -> list[str]:
    """What the score ``instance`` needs and runs of ``method`` on ``benchmark`` do not have, in words."""
    recipe = study.recipes[method, benchmark]
    objective = records("objectives").get(recipe["objective"].get("name"), {"gives": []})
    there = {
        "logits": "head" in recipe,
        "classifier": "head" in recipe,
        "projection": "projector" in recipe,
        "prototypes": "prototypes" in objective["gives"] and not study.imported(method, benchmark),
    }
    needs = records("scores")[study.scores[instance]["score"]]["needs"]
    return [_WORDS[part] for part in needs if not there.get(part, True)]
