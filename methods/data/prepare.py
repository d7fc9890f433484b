"""From verified archives to one split of the image store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from methods import registry
from methods.data.images import ImageSet, check_images
from methods.data.render import render_images
from methods.errors import ReproError


def prepare(settings: Mapping[str, Any], files: Mapping[str, Path], entries: Sequence[str]) -> ImageSet:
    """Read one split of a data set and bring it to the benchmark's render.

    Args:
        settings: ``dataset``, ``split``, ``reader`` (with its options), ``render`` and, where the catalog knows
            it, ``content_sha256`` of the split at its native size.
        files: verified archive files by name.
        entries: the frozen list of the split; empty where the reader needs none.

    Raises:
        ReproError: the images do not hold together or are not what the catalog records.
    """
    name = f"{settings['dataset']}/{settings['split']}"
    options = dict(settings["reader"])
    data = registry.load("data.readers", options.pop("name")).read(files, entries, options)
    _verify(data, settings, name)
    return check_images(replace(data, images=render_images(data.images, settings["render"], name)), name)


def _verify(data: ImageSet, settings: Mapping[str, Any], name: str) -> None:
    known = {"count": len(data.images), "classes": list(data.classes)}
    for key, value in known.items():
        if key in settings and settings[key] != value:
            raise ReproError(
                f"{name} was read with {key} {value}, the catalog has {settings[key]}: correct one of them."
            )
    found, expected = data.content_sha256(), settings.get("content_sha256")
    if expected is not None and found != expected:
        raise ReproError(
            f"{name} was read as content {found[:12]}, the catalog expects {expected[:12]}: the archive, its "
            "reader or the split list changed. Restore them, or enter the new hash in resources/datasets.yaml."
        )
