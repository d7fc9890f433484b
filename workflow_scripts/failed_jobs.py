"""A job that failed is not taken for one that ended well.

Snakemake (9.27) records the params and inputs of a failed job as if they were those of its files. Where files that are
made from them are there already, from an earlier run, the next run would find nothing to do and leave them outdated. So
the record of such a job stays the one that it had before, and the next run finds the same reason to run it again.
"""

from typing import Any

from snakemake.jobs import Job


def keep_records(workflow: Any) -> None:
    """Called before the first job starts: what fails from now on is not recorded."""
    finished, postprocess = workflow.persistence.finished, Job.postprocess
    failed: set[Any] = set()

    async def noted(job: Any, *arguments: Any, error: bool = False, **more: Any) -> None:
        (failed.add if error else failed.discard)(job)
        await postprocess(job, *arguments, error=error, **more)

    async def recorded(job: Any) -> None:
        if job not in failed:
            await finished(job)

    Job.postprocess, workflow.persistence.finished = noted, recorded
