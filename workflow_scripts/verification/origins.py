"""The far end of the chain: source files against the catalog, folders of your own against their manifests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from methods.data.availability import files_to_have
from methods.data.fetch import decoded_sha256
from methods.data.lock import recorded
from methods.data.places import Wanted, locate
from methods.data.sources import open_source
from methods.data.verify import Expected
from methods.errors import ReproError
from methods.settings.study import Study
from workflow_scripts.verification.layout import Place

Flaw = tuple[str, str]  # kind of finding, what is wrong


def archive_record(study: Study, place: Place) -> Mapping[str, Any] | None:
    """What the catalog says of a source file."""
    files = (study.catalog | study.weights).get(place.names["dataset"], {}).get("files", [])
    return next((file for file in files if file["name"] == place.names["file"]), None)


def published(study: Study, place: Place, lock: Path) -> dict[str, str]:
    """Who knows the SHA-256 of a source file -> that hash; it holds even where the file itself is gone."""
    file = archive_record(study, place) or {}
    found = {"the catalog": file["sha256"]} if "sha256" in file else {}
    known = recorded(lock, "files", f"{place.names['dataset']}/{place.names['file']}")
    return found | ({lock.name: known["sha256"]} if known else {})


def archive_flaw(study: Study, place: Place, path: Path, sha256: str, lock: Path) -> str | None:
    """In what a source file is not what the catalog or the lock file says; completes "PATH ..."."""
    file = archive_record(study, place)
    if file is None:
        return None
    if "package" not in file:
        return Expected(place.names["dataset"], file, lock).problem(path, sha256)
    try:
        found = decoded_sha256(path, file["package"]["decoded"])
    except (OSError, EOFError, ValueError, SyntaxError) as error:
        return f"cannot be decoded ({error})"
    wanted = file["package"]["decoded_sha256"]
    return None if found == wanted else f"decodes to sha256 {found[:12]}, the catalog expects {wanted[:12]}"


def source_flaw(study: Study, place: Place, manifest: Path) -> Flaw | None:
    """What is wrong with a split that lies in a folder of yours, every file of which is read; None if nothing is."""
    data = study.config["data"]
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        want = Wanted(**content["wanted"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        return "unreadable", f"is no manifest of a verified folder ({error})"
    if locate(want, data["sources"]) is None:
        return "missing", f"lists files of {want.name} that no folder of data.sources holds"
    dataset, split = place.names["dataset"], place.names["split"]
    try:
        others = files_to_have(study.catalog, dataset, split, data["sources"], data["folder"])
        fetched = [Path(data["folder"]) / "archives" / owner / name for name, owner in others.items()]
        tree = open_source(manifest, data["sources"], [path for path in fetched if path.is_file()])
        if content["unpacked"]:
            for _ in tree.read(name for name in tree.names() if name in content["files"]):
                pass  # comparing is done while reading
    except ReproError as error:
        return "changed", f"does not fit what lies in the folder: {str(error).rstrip('.')}"
    return None
