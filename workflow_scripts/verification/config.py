"""Config files and values given on the command line, joined as Snakemake joins them."""

import argparse
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from methods.settings.schema import ROOT, load_yaml


def add_options(parser: argparse.ArgumentParser) -> None:
    """``--configfile`` and ``--config``, as for snakemake."""
    parser.add_argument("--configfile", type=Path, help="config beside the project's own, as for snakemake")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="as for snakemake")


def read_config(given: argparse.Namespace) -> dict[str, Any]:
    """The project's config with what these options say."""
    config = load_yaml(ROOT / "config.yaml")
    if given.configfile:
        config = _joined(config, load_yaml(given.configfile))
    for pair in given.config:
        key, _, value = pair.partition("=")
        config = _joined(config, {key: yaml.safe_load(value)})
    return config


def _joined(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings key by key, all else replaced."""
    found = copy.deepcopy(dict(base))
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = _joined(found[key], value) if both else value
    return found
