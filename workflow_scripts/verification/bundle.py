"""A paper's results in one archive that another lab can check and compare with its own.

Inside: tables and figures in all forms, histories, metrics and the other small files behind them under their keys;
``records.json`` with hash, record and parents of every artifact behind the tables back to the archives, also of those
too large to pack; ``config.json`` and the paper's file; ``manifest.json`` with the hash of each of these. The same
content gives the same bytes on every machine: members are sorted, stored without compression, and have no dates.
"""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from methods.errors import ReproError, refuse
from methods.files import atomic, sha256_bytes
from methods.settings.packing import packed_config, paper_files
from methods.settings.study import Study
from workflow_scripts.verification.evidence import Evidence, gather
from workflow_scripts.verification.findings import BROKEN
from workflow_scripts.verification.folder import MANIFEST, RECORDS, is_small, read_folder, write_folder
from workflow_scripts.verification.layout import SIDECAR
from workflow_scripts.verification.verify import expected_outputs, judged

FORMAT = 1
CONFIG, EQUIVALENT = "config.json", "equivalent_code.json"
_PACKED = ("metrics", "history", "cost", "dilation", "tuned")
_ENVIRONMENT = "results/environment.csv"
_READ_ME = """Results of the paper file {paper}.yaml, made by ood-repro.

manifest.json  SHA-256 and size of every file in here
records.json   SHA-256, settings, source digest and parents of every artifact behind the tables, back to the archives
equivalent_code.json  refactors recorded as equivalent, with their reasons, if there are any
config.json    the config it was run with: snakemake {paper} --configfile config.json
papers/        the paper's file, and those it takes recipes or benchmarks from
results/       tables, figures, metrics, training histories

Check it:              python -m workflow_scripts.verification check bundle.zip
Compare with your own: python -m workflow_scripts.verification compare bundle.zip results
"""


def pack(study: Study, paper: str, path: str | Path, say: Callable[[str], None] = print) -> int:
    """Verify what stands behind the paper's tables and figures, and pack it into ``path``; returns the number of files.

    Raises:
        ReproError: a table or figure is not made yet, or a link behind one of them does not hold.
    """
    wanted = expected_outputs(study, [paper])
    evidence = gather(study, [*wanted, _ENVIRONMENT])
    absent = [key for key in wanted if key not in evidence.files]
    refuse(bool(absent), f"{paper} is not finished: {', '.join(absent[:3])} is not made yet. Run the paper first.")
    broken = [finding for finding in judged(evidence, say).found if finding.kind in BROKEN]
    if broken:
        raise ReproError(f"{paper} is not packed: {broken[0].says}. What to do: {broken[0].advice}.")
    members = {key: evidence.files[key].read_bytes() for key in evidence.files if _is_packed(evidence, key)}
    members |= {f"papers/{name}": content for name, content in paper_files(study, paper).items()}
    members |= {CONFIG: _json(packed_config(study)), RECORDS: _json(_records(evidence))}
    if evidence.equivalent_code:
        members[EQUIVALENT] = _json(evidence.equivalent_code)
    members["README.txt"] = _READ_ME.format(paper=paper).encode()
    with atomic(path) as temporary:
        temporary.write_bytes(to_bytes(members | {MANIFEST: _json(_manifest(paper, members))}))
    return len(members) + 1


def to_bytes(members: Mapping[str, bytes]) -> bytes:
    """An archive of ``members``; the same members give the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(members.items()):
            info = zipfile.ZipInfo(name)  # of 1980, the first date there is
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)
    return stream.getvalue()


def publish(path: str | Path, folder: Path) -> int:
    """Write the small files of a bundle that is whole into ``folder``; returns their number.

    Raises:
        ReproError: the bundle cannot be read or is broken.
    """
    flaws, _ = check(path)
    refuse(bool(flaws), f"{path} is broken: {flaws[0] if flaws else ''}. Make it again; nothing was written.")
    members = read_bundle(path)
    paper = json.loads(members.pop(MANIFEST))["paper"]
    kept = {name: content for name, content in members.items() if is_small(name)}
    write_folder(folder, kept | {MANIFEST: _json(_manifest(paper, kept))})
    return len(kept) + 1


def read_bundle(path: str | Path) -> dict[str, bytes]:
    """Members of a bundle, or of the folder that one was published into, by name, unchecked.

    Raises:
        ReproError: there is no such file, or it is no bundle.
    """
    if Path(path).is_dir():
        return read_folder(Path(path))
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ReproError(f"{path} cannot be read as a bundle ({error}): fetch or make it again.") from error
    refuse(MANIFEST not in members or RECORDS not in members, f"{path} is no bundle: it lacks {MANIFEST} or {RECORDS}.")
    return members


def check(path: str | Path) -> tuple[list[str], dict[str, int]]:
    """Every flaw of a bundle, one sentence each, and counts of what was compared.

    Raises:
        ReproError: it cannot be read.
    """
    members = read_bundle(path)
    try:
        manifest, records = json.loads(members[MANIFEST]), json.loads(members[RECORDS])
        found = [*_member_flaws(members, manifest), *_chain_flaws(members, records)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReproError(f"{path} has a damaged {MANIFEST} or {RECORDS} ({error!r}): fetch it again.") from error
    if not found and Path(path).is_file() and to_bytes(members) != Path(path).read_bytes():
        found.append("its members are right, the archive around them is not the one that was written")
    links = sum(len(part.get("parents", {})) for part in records.values())
    return found, {"files": len(members), "artifacts": len(records), "links": links}


def _member_flaws(members: Mapping[str, bytes], manifest: Mapping[str, Any]) -> list[str]:
    if manifest["format"] != FORMAT:
        return [f"its format is {manifest['format']}, this checkout reads {FORMAT}"]
    listed = manifest["members"]
    found = [f"{name} is listed and not in it" for name in sorted(set(listed) - set(members))]
    found += [f"{name} is in it and not listed" for name in sorted(set(members) - set(listed) - {MANIFEST})]
    for name in sorted(set(listed) & set(members)):
        sha256 = sha256_bytes(members[name])
        if listed[name] != {"sha256": sha256, "bytes": len(members[name])}:
            recorded = listed[name].get("sha256", "")
            found.append(f"{name} was changed: the manifest has sha256 {recorded[:12]}, the file {sha256[:12]}")
    return found


def _chain_flaws(members: Mapping[str, bytes], records: Mapping[str, Any]) -> list[str]:
    """Links among the records, and records against the files in the bundle."""
    found = []
    for key, part in sorted(records.items()):
        if key in members and part["sha256"] != sha256_bytes(members[key]):
            found.append(f"{key} is not the file that {RECORDS} speaks of")
        if f"{key}{SIDECAR}" in members and json.loads(members[f"{key}{SIDECAR}"]) != part["record"]:
            found.append(f"{key} has another record in {RECORDS} than beside it")
        for role, parent in part.get("parents", {}).items():
            if records[parent]["sha256"] != part["record"]["parents"][role]:
                found.append(f"{key} was made from another {role} than {parent}")
    return found


def _is_packed(evidence: Evidence, key: str) -> bool:
    plain = key.removesuffix(SIDECAR)
    place = evidence.places.get(plain)
    return key.startswith("results/papers/") or key == _ENVIRONMENT or bool(place and place.kind in _PACKED)


def _records(evidence: Evidence) -> dict[str, Any]:
    """Every artifact: hash, record, and by role which other artifact was read."""
    found: dict[str, Any] = {key: {"sha256": evidence.sha256[key]} for key in evidence.files}
    for key, record in evidence.records.items():
        parents = {}
        for link in evidence.links[key]:
            there = [other for other in link.keys if evidence.sha256[other] == link.sha256]
            parents[link.role] = there[0] if there else (link.places or (f"unknown/{link.sha256}",))[0]
            found.setdefault(parents[link.role], {"sha256": link.sha256, "absent": True})
        found[key] |= {"record": record, "parents": parents}
    return {key: part for key, part in found.items() if not key.endswith(SIDECAR)}


def _manifest(paper: str, members: Mapping[str, bytes]) -> dict[str, Any]:
    listed = {name: {"sha256": sha256_bytes(content), "bytes": len(content)} for name, content in members.items()}
    return {"format": FORMAT, "paper": paper, "members": listed}


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
