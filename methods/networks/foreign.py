"""Checkpoints of other projects: read without running code of theirs, renamed to this project's tensors, strictly.

Layout ``cifar_resnet`` is the ResNet for small images as SupCon, CIDER, PALM and ADAPT name it
(``encoder.layer1.0.conv1``, ``head.0``) and, without the prefix, as OpenOOD does (``layer1.0.conv1``, ``fc``); layout
``own`` has this project's names.
"""

import argparse
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from methods.errors import ReproError, refuse
from methods.files import sha256_file

_CONTAINERS = ("model", "state_dict", "net")  # where releases keep the state among other things
_REMEDY = (
    "Look at the benchmark's network, the recipe's head and projector, and at `layout` and `ignore` of its checkpoint."
)
_RENAMED = {
    "cifar_resnet": (
        (r"(?:encoder\.)?conv1\.(.+)", r"backbone.stem.0.\1"),
        (r"(?:encoder\.)?bn1\.(.+)", r"backbone.stem.1.\1"),
        (r"(?:encoder\.)?layer(\d+)\.(\d+)\.((?:conv|bn)[12]|shortcut\.[01])\.(.+)", None),
        (r"head\.([02])\.(weight|bias)", r"projector.layers.\1.\2"),
        (r"(?:fc|linear)\.(weight|bias)", r"head.classifier.\1"),
    ),
    "own": ((r"((?:backbone|head|projector)\..+)", r"\1"),),
}


def read_checkpoint(path: str | Path) -> dict[str, torch.Tensor]:
    """Named tensors of a ``.safetensors`` file or of one that torch saved, without the prefix ``module.``.

    Of a pickle only tensors, plain containers and the namespace of parsed arguments are taken; anything else in it is
    refused, not run.

    Raises:
        ReproError: no such file, damaged, something else in it, or no tensors.
    """
    path = Path(path)
    refuse(not path.is_file(), f"The checkpoint {path} does not exist.")
    try:
        found = _safetensors(path) if path.suffix == ".safetensors" else _state(_torch_file(path))
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ReproError(
            f"The checkpoint {path} cannot be read: it is damaged or of another kind ({reason})."
        ) from error
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def require_sha256(path: str | Path, expected: str | None) -> None:
    """Refuse a file that has not the SHA-256 a paper gives for it."""
    found = sha256_file(path) if expected else None
    refuse(
        found != expected,
        f"The checkpoint {path} has sha256 {found}, the paper says {expected}: it is another file, or damaged.",
    )


def import_tensors(
    found: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    layout: str,
    ignore: Iterable[str],
    name: str,
) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint under this project's names.

    Args:
        found: tensors by the names of the checkpoint.
        expected: state of the network they are for.
        layout: ``cifar_resnet`` or ``own``.
        ignore: beginnings of names that are left out (``fc`` of CIDER, which was never trained).
        name: of the checkpoint, for messages.

    Raises:
        ReproError: as :func:`match_tensors`.
    """
    matched = match_tensors(found, expected, partial(_renamed, layout=layout), ignore, name, remedy=_REMEDY)
    return {key: tensor.numpy() for key, tensor in matched.items()}


def match_tensors(
    found: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    rename: Callable[[str], str | None],
    ignore: Iterable[str],
    name: str,
    *,
    remedy: str,
    optional: tuple[str, ...] = (),
) -> dict[str, torch.Tensor]:
    """The tensors of ``found`` under the names and in the types of ``expected``.

    Args:
        found: tensors by the names of a file.
        expected: state of the network they are for.
        rename: name in the file -> name in the network, None if it has no such tensor.
        ignore: beginnings of names that are left out.
        name: of the file, for messages.
        remedy: sentence that ends a message.
        optional: endings of names that a file may lack.

    Raises:
        ReproError: a tensor is missing, unexpected, comes twice, or has another shape; names all of them.
    """
    left_out = tuple(f"{part.rstrip('.')}." for part in ignore)
    renamed: dict[str, torch.Tensor] = {}
    problems, seen = [], set()
    for own, tensor in found.items():
        if own.startswith(left_out):
            continue
        new = rename(own)
        if new is None or new not in expected:
            problems.append(f"{own} has no place in the network")
        elif new in seen:
            problems.append(f"{own} comes twice")
        elif tensor.shape != expected[new].shape:
            problems.append(f"{own} is {list(tensor.shape)}, the network has {list(expected[new].shape)}")
        else:
            renamed[new] = tensor.detach().to(expected[new].dtype)
        seen.add(new)
    problems += [f"{key} is missing" for key in expected if key not in seen and not key.endswith(optional)]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ReproError(f"The checkpoint {name} does not fit: {shown}. {remedy}")
    return renamed


def _renamed(name: str, layout: str) -> str | None:
    for pattern, new in _RENAMED[layout]:
        if match := re.fullmatch(pattern, name):
            if new is None:
                stage, block, part, rest = match.groups()
                return f"backbone.stages.{int(stage) - 1}.{block}.{part}.{rest}"
            return match.expand(new)
    return None


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _torch_file(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split())
        what = re.search(r"GLOBAL ([\w.]+)|Unsupported (?:class|global)[: ]+(?:GLOBAL )?([\w.]+)", reason)
        named = next((group for group in what.groups() if group), "") if what else ""
        raise ReproError(
            f"The checkpoint {path} holds more than tensors{f' ({named})' if named else ''}, which is not run: load it "
            "where you trust it, and save its state dictionary alone."
        ) from error


def _state(content: Any) -> dict[str, torch.Tensor]:
    """The one mapping of names to tensors in what a file holds."""
    refuse(not isinstance(content, Mapping), f"The checkpoint holds a {type(content).__name__}, no state dictionary.")
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return dict(content)
    inner = [key for key in _CONTAINERS if isinstance(content.get(key), Mapping)]
    refuse(
        len(inner) != 1,
        f"The checkpoint has {len(inner)} state dictionaries under {', '.join(_CONTAINERS)}: its keys are "
        f"{', '.join(map(str, content))}.",
    )
    return _state(content[inner[0]])
