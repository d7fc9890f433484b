"""What can be wrong with a link of the chain, in words."""

from dataclasses import asdict, dataclass
from typing import Any

# Kinds of findings: the evidence is damaged, or it is whole but of other settings or other code than this checkout's.
BROKEN = ("changed", "stale", "missing", "unreadable")
OTHER = ("other_settings", "other_code")


@dataclass(frozen=True)
class Finding:
    """One link that does not hold.

    Attributes:
        kind: one of ``BROKEN`` or ``OTHER``.
        artifact: key of the file at fault.
        role: in which it was read; empty where no reader is concerned.
        witnesses: who recorded the hash, keys or words.
        recorded: hash, digest or settings that were recorded; ``found`` those found.
        says: the whole in a sentence.
        advice: what to do.
    """

    kind: str
    artifact: str
    role: str
    witnesses: tuple[str, ...]
    recorded: str
    found: str
    says: str
    advice: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "witnesses": list(self.witnesses)}


@dataclass(frozen=True)
class Claim:
    """Somebody says which hash a file has.

    Attributes:
        key: the file.
        sha256: its hash, says ``witness`` (a key, or words).
        role: in which the witness read it.
        source: key of the file in which this stands; a damaged file is no witness.
    """

    key: str
    sha256: str
    witness: str
    role: str = ""
    source: str = ""


def short(sha256: str) -> str:
    """The first twelve digits of a hash."""
    return sha256[:12] or "none"


def anew(path: object) -> str:
    """What makes a file again: other targets do not miss one that all its readers have read already."""
    return f"delete it and ask for it by its path, which makes it again: snakemake {path}"


def changed(path: object, claims: list[Claim], found: str) -> Finding:
    """A file whose bytes are not what ``claims``, all of one file, say."""
    first, role = claims[0], ", ".join(sorted({claim.role for claim in claims if claim.role}))
    witnesses = tuple(dict.fromkeys(claim.witness for claim in claims))
    more = f" and {len(witnesses) - 1} more" if len(witnesses) > 1 else ""
    read = f", which read it as {first.role}," if first.role else ""
    says = f"{path} was changed: {first.witness}{read}{more} recorded sha256 {short(first.sha256)}, the file has "
    advice = f"bring back the original, or {anew(path)}"
    return Finding("changed", first.key, role, witnesses, first.sha256, found, f"{says}{short(found)}", advice)


def stale(path: object, child: object, claim: Claim, found: str) -> Finding:
    """A reader made from another version of a file that others confirm as it is."""
    says = (
        f"{child} was made from another {claim.role or 'version'} than {path}: it recorded sha256 "
        f"{short(claim.sha256)}, the file has {short(found)}, as others confirm"
    )
    advice = anew(child)
    return Finding("stale", claim.witness, claim.role, (claim.key,), claim.sha256, found, says, advice)


def missing(key: str, path: object, child: str, child_path: object, role: str, recorded: str) -> Finding:
    """A parent that is no longer on the disk; ``child`` is the key of what was made from it."""
    says = f"{path} is gone, which {child_path} read as {role} (recorded sha256 {short(recorded)}, found none)"
    advice = f"bring it back, or ask for it by its path, which makes it again: snakemake {path}"
    return Finding("missing", key, role, (child,), recorded, "", says, advice)


def gone(child: str, child_path: object, places: tuple[str, ...], role: str, recorded: str) -> Finding:
    """A parent of which neither record nor papers say which file it was, and no file has its hash."""
    where = f"among {', '.join(places)}" if places else "anywhere"
    says = (
        f"{child_path} read a file as {role} that is not there {where} (recorded sha256 {short(recorded)}, found none)"
    )
    advice = f"bring that file back, or delete {child_path} and have it made again: snakemake {child_path}"
    return Finding("missing", child, role, (child,), recorded, "", says, advice)


def unreadable(key: str, path: object, why: str) -> Finding:
    """A file whose record cannot be read."""
    advice = anew(path)
    return Finding("unreadable", key, "", (), "", "", f"{path} {why}", advice)
