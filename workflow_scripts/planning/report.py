"""A plan as text."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from methods.data.catalog import file_record
from methods.disk import existing
from methods.progress import counted, readable_bytes
from methods.settings.study import Study
from workflow_scripts.lines.remaining import Recorded, readable
from workflow_scripts.planning.hours import Training, other_hours, trainings
from workflow_scripts.planning.sizes import SIZES, run_of

Job = Mapping[str, Any]


@dataclass
class Space:
    """Files of one kind: how many, their bytes as far as known, and how many of unknown size."""

    kind: str
    in_data: bool
    files: int = 0
    size: int = 0
    unknown: int = 0


def space(study: Study, jobs: Sequence[Job]) -> list[Space]:
    """What the files of the jobs will take; a file that is there already and made anew counts by its growth."""
    found = {kind: Space(kind, in_data) for kind, in_data, _ in SIZES.values()}
    for job in jobs:
        if job["rule_name"] not in SIZES:
            continue
        kind, _, size_of = SIZES[job["rule_name"]]
        size, there = size_of(study, job["wildcards"]), job["output"][0]
        found[kind].files += 1
        if size is None:
            found[kind].unknown += 1
        else:
            found[kind].size += size - (os.path.getsize(there) if os.path.exists(there) else 0)
    return [part for part in found.values() if part.files]


def plan_lines(study: Study, jobs: Sequence[Job], stated: Mapping[str, float], recorded: Recorded) -> Iterator[str]:
    """The whole plan, line by line.

    Args:
        study: what config and papers ask for.
        jobs: rule, wildcards, outputs and GPUs of everything that would run.
        stated: images a second by method that the user states.
        recorded: mean seconds of jobs of earlier runs.
    """
    if not jobs:
        yield "Nothing to do: all files are there and up to date."
        return
    yield from _job_lines(jobs)
    yield from _training_lines(trainings(study, _trained(jobs), stated))
    yield from _other_lines(jobs, recorded)
    yield from _download_lines(study, jobs)
    yield from _space_lines(study, space(study, jobs))


def _trained(jobs: Sequence[Job]) -> list:
    return [run_of(job["wildcards"]) for job in jobs if job["rule_name"] == "train"]


def _job_lines(jobs: Sequence[Job]) -> Iterator[str]:
    counts = Counter(job["rule_name"] for job in jobs)
    claiming = sum(job["gpu"] > 0 for job in jobs)
    yield f"{counted(len(jobs), 'job')}, of which {claiming} would claim a GPU:"
    yield from (f"  {count:6} {rule}" for rule, count in counts.most_common())


def _training_lines(parts: Sequence[Training]) -> Iterator[str]:
    if not parts:
        return
    yield f"{counted(sum(part.runs for part in parts), 'training')}:"
    for part in parts:
        yield f"  {part.runs} x {part.method} on {part.benchmark}: {_amount(part)}, {_time(part)}"
    known = [hours for part in parts if (hours := part.hours) is not None]
    lacking = len(parts) - len(known)
    state = "state the images a second, --rate 1200 or --rate adapt=900"
    if known:
        total = f"{sum(known):.1f} hours" if sum(known) >= 1 else readable(sum(known) * 3600)
        more = f"; {lacking} more of unknown speed ({state})" if lacking else ""
        yield f"  together {total} of device time{more}"
    else:
        yield f"  how long they take is unknown here: {state}"


def _amount(part: Training) -> str:
    if part.images is None:
        return f"{counted(part.epochs, 'epoch')} over a number of images that is known once they are fetched"
    return f"{counted(part.epochs, 'epoch')}, {part.images:,} images with all views"


def _time(part: Training) -> str:
    if part.hours is None or part.rate is None:
        return "time unknown"
    return f"{readable(part.hours * 3600)} at {part.rate.value:,.0f} images/s ({part.rate.source})"


def _other_lines(jobs: Sequence[Job], recorded: Recorded) -> Iterator[str]:
    others = [(job["rule_name"], job["wildcards"].get("benchmark", "")) for job in jobs if job["rule_name"] != "train"]
    hours, unknown = other_hours(others, recorded)
    timed = f"{readable(hours * 3600)}, one after the other, as earlier runs took" if hours else "not timed yet"
    lacking = f"; unknown for {', '.join(unknown)}" if unknown and hours else ""
    yield f"{counted(len(others), 'other job')}: {timed}{lacking}"


def _download_lines(study: Study, jobs: Sequence[Job]) -> Iterator[str]:
    wanted = [job["wildcards"] for job in jobs if job["rule_name"] == "fetch_archive"]
    records = [file_record(study.catalog | study.weights, part["dataset"], part["file"]) for part in wanted]
    remote = [record for record in records if "urls" in record]
    sizes = [record.get("size", record.get("about")) for record in remote]
    known = [size for size in sizes if size is not None]
    fetched = Space("", True, len(sizes), sum(known), len(sizes) - len(known))
    verb = "to bring, for offline is set" if study.config["offline"] else "to download"
    yield f"{verb}: {counted(fetched.files, 'file')}, {_size(fetched)}" if remote else "nothing to download"


def _space_lines(study: Study, parts: Sequence[Space]) -> Iterator[str]:
    yield "disk that the new files take (detectors, tables and figures are not counted):"
    yield from (f"  {part.kind}: {counted(part.files, 'file')}, {_size(part)}" for part in parts)
    for in_data, folder in ((True, study.config["data"]["folder"]), (False, study.config["results"]["folder"])):
        yield from _folder_lines(folder, [part for part in parts if part.in_data == in_data], parts)


def _folder_lines(folder: str, own: Sequence[Space], parts: Sequence[Space]) -> Iterator[str]:
    """What one folder gets and whether its disk holds it."""
    if not own:
        return
    place = existing(folder)
    free, needed = shutil.disk_usage(place).free, sum(part.size for part in own)
    unknown = " and what is unknown" if any(part.unknown for part in own) else ""
    yield f"  {folder} gets {readable_bytes(max(needed, 0))}{unknown}; {readable_bytes(free)} are free there"
    if needed > free:
        yield f"  NOT ENOUGH ROOM: {folder} lacks {readable_bytes(needed - free)}; free it or set the folder elsewhere"


def _size(part: Space) -> str:
    known = readable_bytes(max(part.size, 0)) if part.files > part.unknown else ""
    unknown = f"unknown for {part.unknown}" if part.unknown else ""
    return " and ".join(filter(None, [known, unknown]))
