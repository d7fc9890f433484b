"""Targets of the command line that no rule makes, found before Snakemake says so in words that help nobody."""

import os
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from snakemake.cli import parse_args
from snakemake.exceptions import WorkflowError

from methods.settings.schema import nearest


def require_targets(workflow: Any, papers: Iterable[str]) -> None:
    """Called once all rules are defined; a name with a slash or a dot is a file, which Snakemake looks for.

    Args:
        workflow: Snakemake's.
        papers: names of the papers that the config names.

    Raises:
        WorkflowError: a target is neither a rule nor a file; names the paper to add, or the nearest target.
    """
    names = {rule.name for rule in workflow.rules}
    for target in asked() if workflow.is_main_process else []:
        if target not in names and not set("./") & set(target) and not os.path.exists(target):
            raise WorkflowError(_unknown(target, names, papers, Path(workflow.basedir)))


def asked() -> list[str]:
    """Targets of this process's command line, which Snakemake hands on only after it has read the Snakefile."""
    if any("snakemake" in word for word in sys.orig_argv[:4]):
        with suppress(SystemExit), redirect_stderr(StringIO()):  # it says again which profile it uses
            return list(parse_args(sys.argv[1:])[1].targets)
    return []


def _unknown(target: str, names: Iterable[str], papers: Iterable[str], root: Path) -> str:
    if (root / "papers" / f"{target}.yaml").is_file():
        return (
            f"the target {target} is a paper that the config does not name, it has {', '.join(papers)}: add "
            f"--config papers='[{target}]' to the command, or the name to `papers` in config.yaml"
        )
    return f"there is no target {target!r}: {nearest(target, names)}"
