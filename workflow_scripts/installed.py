"""Whether the Python that runs Snakemake has what the project needs: nothing but the standard library is imported."""

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from snakemake.exceptions import WorkflowError

PLANNING = ("jsonschema", "tqdm", "yaml")  # to read the Snakefile
COMPUTING = ("h5py", "numpy", "PIL", "safetensors", "scipy", "sklearn", "torch")  # to run jobs


def require_packages(names: Iterable[str]) -> None:
    """Refuse a Snakemake of another installation before it fails in the middle.

    Raises:
        WorkflowError: one of the packages is not installed.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise WorkflowError(
            f"this Snakemake is that of {sys.prefix}, where {', '.join(missing)} cannot be imported. Use the project's "
            "environment: `make env`, then `make run TARGET=...`, or `source .venv/bin/activate` and `snakemake ...`"
        )


def require_for_jobs(workflow: Any) -> None:
    """The same for what jobs import, if they run here and bring no environment of their own.

    Raises:
        WorkflowError: one of the packages is not installed.
    """
    if workflow.local_exec and not workflow.deployment_settings.deployment_method:
        require_packages(COMPUTING)
