"""One line a job: when it starts or ends, how long it took and what is left, or in a dry run why it will run.

A logger plugin of Snakemake, found by its name when this folder is on the path, which `workflow_scripts.launch` (what
`make` calls) sees to: `snakemake --logger ood-repro`. Nothing heavy is imported, for every job starts a Snakemake that
looks for plugins.
"""

import logging
import os
import sys
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase

sys.path.append(str(Path(__file__).resolve().parents[3]))

from workflow_scripts.lines.display import Display
from workflow_scripts.lines.plan_file import PLAN, PlanFile


class LogHandler(LogHandlerBase):
    """Hands Snakemake's events to a display or, where ``OOD_REPRO_PLAN`` names a folder, to the file of a plan."""

    def __post_init__(self) -> None:
        settings = self.common_settings
        if folder := os.environ.get(PLAN):
            self.sink: Display | PlanFile = PlanFile(folder)
        else:
            stream = sys.stdout if settings.stdout else sys.stderr
            quiet = {choice.name for choice in settings.quiet or ()}
            self.sink = Display(stream, dry=settings.dryrun, verbose=settings.verbose, quiet="ALL" in quiet)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event; a fault in here is reported and never stops the run."""
        try:
            self.sink.take(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """The last lines, once Snakemake has nothing more to say."""
        self.sink.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Instead of Snakemake's own lines, which stay in `.snakemake/log`."""
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False
