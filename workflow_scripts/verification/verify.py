"""From every table and figure back to the archives: the whole walk, what it says, and what it writes for machines."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from methods.files import write_text
from methods.progress import TransferProgress, readable_bytes
from methods.settings import outputs
from methods.settings.study import Study
from workflow_scripts.verification.evidence import LEFT_OUT, Evidence, gather
from workflow_scripts.verification.findings import BROKEN, OTHER, Finding
from workflow_scripts.verification.hashes import hash_files
from workflow_scripts.verification.judge import Judgement
from workflow_scripts.verification.layout import KINDS, OUTPUT_FORMS, SIDECAR

FORMAT = 1
# State of a results folder -> exit status, and its last line.
STATES = {
    "ok": (0, "OK: every link from table to archive holds."),
    "unfinished": (0, "OK as far as it goes: every link holds, but not all tables and figures are made yet."),
    "other": (2, "The files are whole, but this checkout would make some of them otherwise."),
    "broken": (1, "BROKEN: some links do not hold."),
}
_SHOWN = 20
Say = Callable[[str], None]


def verify(study: Study, say: Say = print) -> dict[str, Any]:
    """Walk the results of ``study``, write ``verify.json`` into their folder, and return its content.

    Nothing else is written and nothing is made.

    Args:
        study: config and papers of this checkout.
        say: is given one line after the other.
    """
    say("Finding files and reading their records ...")
    evidence = gather(study)
    judgement = judged(evidence, say)
    content = document(judgement)
    write_text(evidence.path("results/verify.json"), json.dumps(content, indent=1, sort_keys=True) + "\n")
    for line in lines(content):
        say(line)
    return content


def judged(evidence: Evidence, say: Say) -> Judgement:
    """Hash all files of ``evidence``, with progress, and compare."""
    _ = evidence.links  # may add files of yours that lie elsewhere
    size = sum(path.stat().st_size for path in evidence.files.values())
    say(f"Hashing {len(evidence.files)} files, {readable_bytes(size)} ...")
    progress, lock, started = TransferProgress("hashed", size), threading.Lock(), time.monotonic()

    def report(more: int) -> None:
        with lock:
            progress.update(more)

    evidence.sha256 = hash_files(evidence.files, report)
    progress.close()
    seconds = max(time.monotonic() - started, 1e-9)
    say(f"Hashed in {seconds:.1f} s, {readable_bytes(size / seconds)}/s. Comparing ...")
    return Judgement(evidence)


def expected_outputs(study: Study, papers: Iterable[str] | None = None) -> list[str]:
    """Keys of the tables and figures that config and papers ask for, all forms."""
    found = []
    for paper in study.papers if papers is None else papers:
        for kind, can in (("table", outputs.possible), ("figure", outputs.drawable)):
            base = KINDS[kind][0].rpartition(".")[0]
            for name, entry in study.papers[paper][f"{kind}s"].items():
                if can(study, paper, entry):
                    stem = base.format(paper=paper, name=name)
                    found += [f"{stem}.{form}" for form in OUTPUT_FORMS[kind]]
    return found


def document(judgement: Judgement) -> dict[str, Any]:
    """What was found, as JSON; the same files and the same checkout give the same content."""
    evidence, found = judgement.evidence, judgement.found
    not_made = [key for key in expected_outputs(evidence.study) if key not in evidence.files]
    kinds = Counter(place.kind for place in evidence.places.values())
    return {
        "format": FORMAT,
        "state": state(found, not_made),
        "outputs": {key: _output(key, evidence, found) for key in sorted(_outputs(evidence))},
        "not_made": not_made,
        "findings": [finding.document() for finding in found],
        "unvouched": sorted(judgement.unvouched),
        "counts": {
            "files": len(evidence.files),
            "bytes": sum(path.stat().st_size for path in evidence.files.values()),
            "links": judgement.links,
            "of_other_configs": judgement.unasked,
            **{kind: kinds[kind] for kind in KINDS},
        },
        "left_out": list(LEFT_OUT),
        "equivalent_code": evidence.equivalent_code,
    }


def state(found: Iterable[Finding], not_made: Iterable[str] = ()) -> str:
    """One of ``STATES``."""
    kinds = {finding.kind for finding in found}
    if kinds & set(BROKEN):
        return "broken"
    if kinds & set(OTHER):
        return "other"
    return "unfinished" if list(not_made) else "ok"


def _outputs(evidence: Evidence) -> list[str]:
    return [key for key, place in evidence.places.items() if place.kind in OUTPUT_FORMS]


def _output(key: str, evidence: Evidence, found: Iterable[Finding]) -> dict[str, str]:
    """State of a table or figure, and the first link behind it that does not hold."""
    behind = _behind(key, evidence)
    own = sorted((f for f in found if f.artifact in behind), key=lambda f: (f.kind in OTHER, behind[f.artifact]))
    return {"state": state(own), **({"first": own[0].says} if own else {})}


def _behind(key: str, evidence: Evidence) -> dict[str, int]:
    """Key of everything behind a table or figure, and of what stands beside these -> how many links away."""
    stem = key.rpartition(".")[0]
    away = {f"{stem}.{form}": 0 for forms in OUTPUT_FORMS.values() for form in forms}
    away |= {key: 0}
    waiting = [key]
    for reader in waiting:  # grows while it is walked: nearest first
        away.setdefault(f"{reader}{SIDECAR}", away[reader])
        for link in evidence.links.get(reader, ()):
            for other in link.keys or link.places:
                if other not in away:
                    away[other] = away[reader] + 1
                    waiting.append(other)
    return away


def lines(content: Mapping[str, Any]) -> list[str]:
    """What a person reads."""
    counts = content["counts"]
    found = [f"{counts['links']} recorded hashes of {counts['files']} files compared: {_kinds(counts)}."]
    found += _broken(content["findings"]) + _others(content["findings"])
    if content["not_made"]:
        found.append(f"Not made yet: {_some(content['not_made'])}.")
    if content["unvouched"]:
        found.append(f"No record holds a hash of {len(content['unvouched'])} files: {_some(content['unvouched'])}.")
    if counts["of_other_configs"]:
        found.append(
            f"{counts['of_other_configs']} files belong to other configs or papers: their bytes were compared, their "
            "settings and code were not."
        )
    for entry in content["equivalent_code"]:
        found.append(f"Code recorded as equivalent: {entry['concerns']}: {entry['reason']}")
    return [*found, STATES[content["state"]][1]]


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[kind]} {kind.replace('_', ' ')}" for kind in KINDS if counts[kind])


def _broken(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """A paragraph a file at fault: the first link that shows it, and how many more do."""
    files: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for finding in found:
        if finding["kind"] in BROKEN:
            files.setdefault((finding["kind"], finding["artifact"]), []).append(finding)
    shown = []
    for (kind, _), own in list(files.items())[:_SHOWN]:
        more = f", and {len(own) - 1} more links say so" if len(own) > 1 else ""
        shown.append(f"{kind.upper()}: {own[0]['says']}{more}.\n  What to do: {own[0]['advice']}.")
    return shown + ([f"... and {len(files) - _SHOWN} more files, in verify.json."] if len(files) > _SHOWN else [])


def _others(found: Iterable[Mapping[str, Any]]) -> list[str]:
    shown = []
    for kind, title in (("other_settings", "MADE UNDER OTHER SETTINGS"), ("other_code", "MADE BY OTHER CODE")):
        own = [finding for finding in found if finding["kind"] == kind]
        if own:
            first = f"{title}: {len(own)} files, the first: {own[0]['says']}"
            codes = f" (digest {own[0]['recorded'][:12]}, here {own[0]['found'][:12]})" if kind == "other_code" else ""
            shown.append(f"{first}{codes}.\n  What to do: {own[0]['advice']}.")
    return shown


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def summary(content: Mapping[str, Any], folder: Path) -> str:
    """One sentence for a job that fails."""
    kinds = Counter(finding["kind"] for finding in content["findings"])
    parts = [f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(kinds.items())]
    return f"{STATES[content['state']][1]} Found: {', '.join(parts)}; all of them in {folder / 'verify.json'}."
