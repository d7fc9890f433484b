"""Holding what was found on the disk against what was recorded: which links of the chain do not hold.

Every recorded hash is a claim about a file: by the line that its job kept, by the record beside it, by everything that
was made from it, by the catalog. A file that all claims contradict was changed; where some agree with it, the others
were made from another version. What stands in a changed file is no claim.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from methods.equivalent_code import standing_for
from methods.errors import ReproError
from methods.progress import LOG
from methods.provenance import canonical_json
from methods.source_digest import ROOT
from workflow_scripts.verification import findings, origins
from workflow_scripts.verification.evidence import Evidence, Link
from workflow_scripts.verification.expected import expected
from workflow_scripts.verification.findings import Claim, Finding
from workflow_scripts.verification.layout import KINDS, RECORDED_KINDS, SIDECAR, SOMEWHERE, Place, place_of

OWN, BESIDE = "its own line in hashes", "the record beside it"
_RANKS = {kind: rank for rank, kind in enumerate(KINDS)}


class Judgement:
    """Findings about all files of ``evidence``, which are hashed already.

    Attributes:
        found: in the order from table to archive.
        links: how many recorded hashes were compared.
        unvouched: keys of files that nothing says a hash of.
        unasked: how many files with a record config and papers do not ask for.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.found, self.links = evidence, list[Finding](), 0
        self.lock = evidence.path("data/datasets.lock.json")
        self.bad: set[str] = set()  # files that are no witnesses
        self.unvouched: list[str] = []
        self.unasked = 0
        self.claims: dict[str, list[Claim]] = defaultdict(list)
        self._collect()
        for key in sorted(evidence.files, key=self._rank):
            self._judge(key)

    def _rank(self, key: str) -> tuple[int, bool, str]:
        """A record before what it stands beside, readers before what they read."""
        place = self.evidence.places.get(key.removesuffix(SIDECAR))
        return (_RANKS[place.kind] if place else -1, not key.endswith(SIDECAR), key)

    def _collect(self) -> None:
        evidence = self.evidence
        for key, sha256 in evidence.own.items():
            if key in evidence.files and not evidence.files[key].is_symlink():  # Snakemake's cache replaces links
                self.claims[key].append(Claim(key, sha256, OWN))
        for key, record in evidence.records.items():
            source = key
            if f"{key}{SIDECAR}" in evidence.files:
                source = f"{key}{SIDECAR}"
                self.claims[key].append(Claim(key, str(record.get("sha256")), BESIDE, source=source))
            for link in evidence.links[key]:
                if len(link.keys) == 1:
                    self.claims[link.keys[0]].append(Claim(link.keys[0], link.sha256, key, link.role, source))
        for key, path in evidence.damaged.items():
            says = f"{path} is damaged: it does not hold the line that was written"
            advice = f"delete {path} if the file it is about is right, else delete both and run the same command again"
            self.found.append(Finding("unreadable", key, "", (), "", "", says, advice))

    def _judge(self, key: str) -> None:
        evidence, place = self.evidence, self.evidence.places.get(key)
        self._compare(key)
        if key in self.bad:
            return
        if key in evidence.unreadable and f"{key}{SIDECAR}" not in self.bad:
            self._add(findings.unreadable(key, evidence.files[key], evidence.unreadable[key]))
        if key in evidence.records and f"{key}{SIDECAR}" not in self.bad:
            for link in evidence.links[key]:
                self._follow(key, link)
            if place:
                self._compare_record(place, evidence.records[key])
        if place and place.kind in ("archive", "source"):
            self._compare_origin(place)

    def _compare(self, key: str) -> None:
        """The file's bytes against all that is claimed of them."""
        evidence, found = self.evidence, self.evidence.sha256[key]
        claims = [claim for claim in self.claims[key] if claim.source not in self.bad]
        self.links += len(claims)
        wrong = [claim for claim in claims if claim.sha256 != found]
        if not claims and key not in evidence.damaged:
            self.unvouched.append(key)
        if not wrong:
            return
        if wrong[0].witness == OWN or len(wrong) == len(claims):
            self._add(findings.changed(evidence.path(key), wrong, found))
            return
        for claim in wrong:
            beside = claim.witness == BESIDE
            at_fault = Claim(claim.key, claim.sha256, claim.source, claim.role) if beside else claim
            self._add(findings.stale(evidence.path(key), evidence.path(at_fault.witness), at_fault, found))

    def _follow(self, key: str, link: Link) -> None:
        """A parent that is not one file on the disk: gone, of unknown place, or one of several."""
        evidence = self.evidence
        if len(link.keys) == 1:
            return
        if link.places == (SOMEWHERE,):
            self.unasked += 1
            return
        self.links += 1
        searched = link.keys if link.places else tuple(evidence.sha256)
        if any(evidence.sha256[other] == link.sha256 for other in searched) or self._published(link):
            return
        path = evidence.path(key)
        if len(link.places) == 1 and not link.keys and "*" not in link.places[0]:
            place = link.places[0]
            self._add(findings.missing(place, evidence.path(place), key, path, link.role, link.sha256))
        else:
            self._add(findings.gone(key, path, link.places, link.role, link.sha256))

    def _published(self, link: Link) -> bool:
        """Whether a source file that is gone had the hash that everybody can look up."""
        places = [place_of(key) for key in link.places]
        known = [origins.published(self.evidence.study, p, self.lock) for p in places if p and p.kind == "archive"]
        return any(link.sha256 in hashes.values() for hashes in known)

    def _compare_record(self, place: Place, record: Mapping[str, Any]) -> None:
        """Kind, settings, seed and source digest against those of this checkout."""
        path, kind = self.evidence.path(place.key), RECORDED_KINDS.get(place.kind, place.kind)
        if record["kind"] != kind:
            self._add(findings.unreadable(place.key, path, f"is a file of kind {record['kind']!r}, expected {kind!r}"))
            return
        try:
            asked = expected(place, self.evidence.study, self.evidence.choices)
        except ReproError:  # what was tuned is not there: found with tuned.json itself
            return
        if asked is None:
            self.unasked += 1
            return
        want = {"settings": asked.settings, "seed": asked.seed}
        have = {"settings": record["settings"], "seed": record.get("seed")}
        if differing := differences(have, want):
            advice = "use the config and papers it was made with, or run the workflow to bring it up to date"
            says = f"{path} was made under other settings: {'; '.join(differing[:3])}"
            recorded, found = canonical_json(have), canonical_json(want)
            self._add(Finding("other_settings", place.key, "", (), recorded, found, says, advice))
        if standing_for(record["source_digest"], ROOT) != asked.digest:
            advice = "check out the code it was made with, or run the workflow to make it with this one"
            says = f"{path} was made by other code than this checkout's"
            self._add(Finding("other_code", place.key, "", (), record["source_digest"], asked.digest, says, advice))

    def _compare_origin(self, place: Place) -> None:
        evidence, path = self.evidence, self.evidence.files[place.key]
        if place.kind == "source":
            LOG.info("reading %s in a folder of data.sources again", place.part)
            flaw = origins.source_flaw(evidence.study, place, path)
        else:
            says = origins.archive_flaw(evidence.study, place, path, evidence.sha256[place.key], self.lock)
            flaw = ("changed", says) if says else None
        self.links += 1
        if flaw:
            advice = f"replace what is wrong, or {findings.anew(path)}"
            sha256 = evidence.sha256[place.key]
            self._add(Finding(flaw[0], place.key, "", ("the catalog",), "", sha256, f"{path} {flaw[1]}", advice))

    def _add(self, finding: Finding) -> None:
        self.found.append(finding)
        if finding.kind in ("changed", "unreadable"):
            self.bad.add(finding.artifact)


def differences(have: Any, want: Any, place: str = "") -> list[str]:
    """Where two JSON values differ: ``epochs is 2, expected 1``."""
    if isinstance(have, Mapping) and isinstance(want, Mapping):
        keys = sorted({*have, *want}, key=str)
        parts = (differences(have.get(key), want.get(key), f"{place}.{key}" if place else str(key)) for key in keys)
        return [line for part in parts for line in part]
    if canonical_json(have) == canonical_json(want):
        return []
    return [f"{place.removeprefix('settings.')} is {_brief(have)}, expected {_brief(want)}"]


def _brief(value: Any) -> str:
    text = "nothing" if value is None else canonical_json(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
