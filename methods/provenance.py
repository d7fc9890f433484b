"""Who made this file from what.

Every artifact carries a record: the kind of thing it is, the canonical settings that shaped its content,
the digest of the source that made it, its seed, and the SHA-256 of every file it was made from. Nothing that
differs between two equal runs (dates, durations, machines) belongs in it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from methods.errors import ReproError
from methods.files import sha256_bytes, sha256_file, write_text

FORMAT = 1


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal settings give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``."""
    return sha256_bytes(canonical_json(value).encode())


def record(
    kind: str,
    settings: Mapping[str, Any],
    source_digest: str,
    parents: Mapping[str, str | Path],
    seed: int | None = None,
) -> dict[str, Any]:
    """The provenance of one artifact; ``parents`` maps a role to the file read in that role."""
    hashes = {role: sha256_file(path) for role, path in parents.items()}
    return record_of_hashes(kind, settings, source_digest, hashes, seed)


def record_of_hashes(
    kind: str,
    settings: Mapping[str, Any],
    source_digest: str,
    parents: Mapping[str, str],
    seed: int | None = None,
) -> dict[str, Any]:
    """The same where the hashes of the files are known: ``parents`` maps a role to a SHA-256."""
    return {
        "format": FORMAT,
        "kind": kind,
        "settings": dict(settings),
        "source_digest": source_digest,
        "seed": seed,
        "parents": dict(sorted(parents.items())),
    }


def write_sidecar(path: str | Path, provenance: Mapping[str, Any]) -> None:
    """Write the record of a text or picture file beside it, with the file's own hash."""
    content = {**provenance, "sha256": sha256_file(path)}
    write_text(sidecar(path), json.dumps(content, indent=1, sort_keys=True) + "\n")


def require_settings(path: str | Path, provenance: Mapping[str, Any], expected: str) -> None:
    """Refuse a file that was not made under the settings with the fingerprint ``expected``."""
    if fingerprint(provenance["settings"]) != expected:
        raise ReproError(
            f"{path} was made under other settings or another seed (seed {provenance['seed']}) than its place says: "
            "delete it and run the same command again."
        )


def require_sidecar(path: str | Path) -> dict[str, Any]:
    """The record beside a file.

    Raises:
        ReproError: there is none, or the file was changed since the record was written.
    """
    try:
        content = json.loads(sidecar(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReproError(f"{path} has no record of its origin: delete it and run the same command again.") from error
    if content.get("sha256") != sha256_file(path):
        raise ReproError(f"{path} was changed after it was made: delete it and run the same command again.")
    return content


def sidecar(path: str | Path) -> Path:
    """Where the record of a file that cannot carry attributes lies."""
    return Path(f"{path}.provenance.json")


def require_parent(child: str | Path, provenance: Mapping[str, Any], role: str, parent: str | Path) -> None:
    """Refuse ``child`` if the file it was made from in ``role`` is not ``parent``.

    Raises:
        ReproError: the recorded hash is missing or another one.
    """
    recorded, found = provenance["parents"].get(role), sha256_file(parent)
    if recorded != found:
        raise ReproError(
            f"{child} was made from another {role} than {parent}: it records sha256 {_short(recorded)}, "
            f"the file has {_short(found)}. Delete {child} and run the same command again."
        )


def require_same(first: str | Path, second: str | Path, role: str, records_: tuple[Mapping, Mapping]) -> None:
    """Refuse two files that were not made from the same file in ``role``."""
    hashes = [provenance["parents"].get(role) for provenance in records_]
    if hashes[0] != hashes[1] or hashes[0] is None:
        raise ReproError(
            f"{first} and {second} do not come from the same {role} (sha256 {_short(hashes[0])} and "
            f"{_short(hashes[1])}). Delete the older of the two and run the same command again."
        )


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:12]
