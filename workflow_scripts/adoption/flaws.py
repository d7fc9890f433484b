"""What speaks against taking over the files of a job: their records and hashes against this checkout."""

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from methods.files import sha256_file
from methods.settings.study import Study
from workflow_scripts.adoption.dag import Job
from workflow_scripts.verification.evidence import Evidence, gather
from workflow_scripts.verification.findings import Finding, short
from workflow_scripts.verification.hashes import holding_root
from workflow_scripts.verification.judge import Judgement, differences
from workflow_scripts.verification.verify import judged

# Rules whose files carry no record: source files are held against the catalog, the rest depends on this machine alone
_WITHOUT_RECORD = ("environment", "fetch_archive", "verify_source")
_SHOWN = (".html", ".svg", "environment.csv")  # inputs that a report holds within itself


def find_flaws(jobs: Iterable[Job], study: Study, say: Callable[[str], None]) -> dict[Job, str]:
    """Job -> what is wrong with the files it made, of jobs with a flaw; files that are missing are none.

    Every file is hashed once, with all that stands behind it.
    """
    jobs = [job for job in jobs if job.outputs]
    keys = {path: key for job in jobs for path in job.outputs if (key := _key(study, path))}
    judgement = judged(gather(study, keys.values()), say)
    told = _told(judgement)
    found = {}
    for job in jobs:
        made = [keys.get(path, path) for path in job.outputs if Path(path).exists()]
        sound = [path for path in job.inputs if keys.get(path) not in told and Path(path).exists()]
        flaws = [flaw for key in made for flaw in told.get(key, ())]
        if made and not flaws:
            flaws = _unproved(job, made, sound, judgement.evidence)
        if flaws:
            found[job] = "; ".join(dict.fromkeys(flaws))
    return found


def _key(study: Study, path: str) -> str | None:
    """Key of a file of the data or results folder; the inner of two folders counts."""
    roots = {Path(study.config[name]["folder"]): name for name in ("results", "data")}
    root = holding_root(Path(path), roots)
    return None if root is None else f"{roots[root]}/{Path(path).relative_to(root).as_posix()}"


def _told(judgement: Judgement) -> dict[str, list[str]]:
    """Key -> what the findings say against the file there."""
    told: dict[str, list[str]] = defaultdict(list)
    for finding in judgement.found:
        at_fault = finding.witnesses if finding.kind == "missing" else [finding.artifact]
        for key in at_fault:
            told[key].append(_line(finding, judgement.evidence))
    for key in judgement.unvouched:
        told[key].append("nothing says which hash it should have")
    return told


def _line(finding: Finding, evidence: Evidence) -> str:
    if finding.kind == "changed":
        name = evidence.path(finding.artifact).name
        return f"hash of {name} does not match its record ({short(finding.recorded)}, found {short(finding.found)})"
    if finding.kind == "stale":
        return f"made from another {finding.role or 'version'} than {evidence.path(finding.witnesses[0])}"
    if finding.kind == "missing":
        gone = "" if finding.artifact in finding.witnesses else f" ({evidence.path(finding.artifact)})"
        return f"made from a file read as {finding.role}{gone} that is gone"
    if finding.kind == "other_settings":
        parts = differences(json.loads(finding.recorded), json.loads(finding.found))
        more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
        return f"settings differ: {'; '.join(parts[:3])}{more}"
    if finding.kind == "other_code":
        return f"code differs (digest {short(finding.recorded)}, here {short(finding.found)})"
    return finding.says


def _unproved(job: Job, made: list[str], inputs: list[str], evidence: Evidence) -> list[str]:
    """What the record of another file does not show: that the job read its ``inputs`` as they are now."""
    if job.rule in _WITHOUT_RECORD:
        return []
    if job.rule == "make_report":
        return _report_flaws(job)
    records = [evidence.records[key] for key in made if key in evidence.records]
    if not records:
        return ["has no record of what it was made from"]
    recorded = {sha256 for record in records for sha256 in record["parents"].values()}
    hashes = {str(path): evidence.sha256[key] for key, path in evidence.files.items()}
    return [
        f"made without {path} as it is" for path in inputs if (hashes.get(path) or sha256_file(path)) not in recorded
    ]


def _report_flaws(job: Job) -> list[str]:
    """Inputs whose bytes the report does not hold: Snakemake packs each into it as base64."""
    page = Path(job.outputs[0]).read_bytes()
    shown = [Path(path) for path in job.inputs if path.endswith(_SHOWN)]
    there = [path for path in shown if path.exists() and base64.b64encode(path.read_bytes()) in page]
    return [f"does not show {path} as it is" for path in shown if path not in there][:1]
