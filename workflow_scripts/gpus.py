"""How many GPUs a job claims from the scheduler, and how many there are for all, found without importing torch."""

from typing import Any

from workflow_scripts.gpu_pool.devices import gpus_expected, gpus_here


def gpus_claimed(device: str) -> int:
    """1 where a job will compute on a GPU (``auto`` and there is one), else 0, so that CPU jobs run abreast."""
    return int(device == "cuda" or (device == "auto" and gpus_expected()))


def limit_gpus(workflow: Any) -> None:
    """Tell Snakemake how many GPUs its jobs share: those here, unless ``--resources gpu=N`` says it.

    On a cluster, known by its number of jobs to submit, the GPUs of this machine limit nothing.
    """
    asked, cluster = "gpu" in workflow.global_resources, workflow.resource_settings.nodes is not None
    if workflow.is_main_process and not asked and not cluster and (count := len(gpus_here())):
        workflow.register_resource("gpu", count)
