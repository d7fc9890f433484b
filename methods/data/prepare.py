"""From a verified tree of files to one split of the image store."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from methods import registry
from methods.data.image_writer import image_store
from methods.data.images import ImageSet, check_images, check_labels, content_sha256, digest, digest_rows
from methods.data.pictures import Pictures, decoded
from methods.data.render import is_uniform, render_image
from methods.data.selection import select
from methods.data.subsets import Lists
from methods.data.trees import Tree
from methods.errors import ReproError
from methods.progress import CountProgress

Rendered = tuple[bytes, np.ndarray]


def prepare(
    path: str | Path,
    settings: Mapping[str, Any],
    tree: Tree,
    lists: Lists,
    provenance: Mapping[str, Any],
    workers: int = 1,
) -> int:
    """Read one split of a data set, bring it to a render, and write it to the store at ``path``.

    Args:
        path: file to write, whole or not at all.
        settings: ``dataset``, ``split``, ``reader`` (with its options), ``render``, and what the catalog knows of the
            split: ``count``, ``classes``, ``select``, ``ids_sha256``, ``content_sha256`` at native size.
        tree: the set's files.
        lists: the frozen list of the split and what it leaves out.
        provenance: record to store.
        workers: threads that decode; the result does not depend on it.

    Returns:
        the number of images.

    Raises:
        ReproError: the images do not hold together, cannot be decoded, or are not what the catalog records.
    """
    name = f"{settings['dataset']}/{settings['split']}"
    source = read_source(settings, tree, lists, name)
    native = [b""] * len(source)
    shown = CountProgress(name, len(source), "image")
    with image_store(path, len(source), is_uniform(settings["render"])) as store:
        for index, (original, image) in _rendered(source, tree, settings["render"], workers, name):
            native[index] = original
            store.fill([(index, image)])
            shown.update()
        shown.close()
        found = content_sha256(digest_rows(native), source.labels, source.sample_ids, source.classes)
        _verify_content(found, settings.get("content_sha256"), name)
        store.close(source.labels, source.sample_ids, source.classes, provenance)
    return len(source)


def read_source(settings: Mapping[str, Any], tree: Tree, lists: Lists, name: str) -> ImageSet | Pictures:
    """What the reader gives, cut to the split, with labels, names and counts checked."""
    options = dict(settings["reader"])
    reader = options.pop("name")
    source = registry.load("data.readers", reader).read(tree, lists.entries, options)
    drawn = registry.records("data.readers")[reader].get("reads_entries", False)
    source = select(source, settings, () if drawn else lists.entries, lists.excluded, name)
    if isinstance(source, ImageSet):
        check_images(source, name)
    else:
        check_labels(source.labels, source.sample_ids, source.classes, name)
    for key, value in {"count": len(source), "classes": list(source.classes)}.items():
        if key in settings and settings[key] != value:
            raise ReproError(
                f"{name} was read from {tree} with {key} {_brief(value)}, the catalog has {_brief(settings[key])}: the "
                "files are incomplete or another version, or the catalog is wrong."
            )
    return source


def _rendered(
    source: ImageSet | Pictures, tree: Tree, render: Mapping[str, Any], workers: int, name: str
) -> Iterator[tuple[int, Rendered]]:
    def work(image: np.ndarray) -> Rendered:
        return digest(image), render_image(image, render, name)

    if isinstance(source, Pictures):
        return decoded(source, tree, work, workers, name)
    return ((index, work(source.images[index])) for index in range(len(source)))


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:100]} ... ({len(value)} of them)"  # type: ignore[arg-type]


def _verify_content(found: str, expected: str | None, name: str) -> None:
    if expected is not None and found != expected:
        raise ReproError(
            f"{name} was read as content {found[:12]}, the catalog expects {expected[:12]}: the archive, its "
            "reader or the split list changed. Restore them, or enter the new hash in resources/datasets.yaml."
        )
