"""Snakemake asks at most once a second which jobs fit, where it would ask ever more often.

Snakemake (9.27) asks its solver again one second after it has asked, because its limit of jobs a second may have held
some back, and it asks when a job ends as well. Every question starts a timer of its own, so after a hundred jobs a
hundred of them go round: while ready jobs wait for a core, the solver runs without a pause, beside the jobs. Here a
question that waits already stands for the next ones, and no timer keeps a workflow that has ended from exiting.
"""

import threading

from snakemake.scheduling.job_scheduler import JobScheduler


def wait_with_one_timer() -> None:
    """From now on, one question waits at a time."""
    JobScheduler._schedule_reevalutation = _ask_again


def _ask_again(scheduler: JobScheduler, delay: float) -> None:
    """Let the scheduler look at its ready jobs in ``delay`` seconds, unless it will do so before."""
    waiting = scheduler.__dict__.get("_question")
    if waiting is not None and waiting.is_alive():
        return

    def ask() -> None:
        del scheduler._question  # first: what the scheduler then asks for is a question of its own
        scheduler._open_jobs.release()

    scheduler._question = threading.Timer(delay, ask)
    scheduler._question.daemon = True
    scheduler._question.start()
