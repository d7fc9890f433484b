"""JSON schemas: checking with sentences, and filling in defaults."""

import copy
import difflib
import math
import re
from collections.abc import Hashable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from methods.errors import ReproError

ROOT = Path(__file__).resolve().parents[2]


@cache
def load_schema(name: str) -> dict[str, Any]:
    """The schema ``schemas/<name>.schema.yaml``."""
    return load_yaml(ROOT / "schemas" / f"{name}.schema.yaml")


def load_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises:
        ReproError: the file is missing or no YAML; the message gives line and column.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError as error:
        raise ReproError(f"{path} does not exist: correct its path, which counts from where you are.") from error
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ReproError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from error


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint such as ``did you mean 'edge'?``, or the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"


def problems(document: Any, schema: Mapping[str, Any], where: str) -> list[str]:
    """Every violation of ``schema`` as a sentence that names the place."""
    found = sorted(_Validator(schema).iter_errors(document), key=lambda e: [str(p) for p in e.path])
    return list(dict.fromkeys(sentence for error in found for sentence in _sentences(error, where)))


def with_defaults(document: Any, schema: Mapping[str, Any]) -> Any:
    """A copy of a valid ``document`` in which the schema's defaults stand where a key is absent."""
    if isinstance(document, Mapping):
        filled = {key: with_defaults(value, _property(schema, key)) for key, value in document.items()}
        for key, part in schema.get("properties", {}).items():
            if key not in filled and "default" in part:
                filled[key] = with_defaults(copy.deepcopy(part["default"]), part)
        return filled
    if isinstance(document, list):
        return [with_defaults(item, schema.get("items", {})) for item in document]
    return document


def typed(document: Any, schema: Mapping[str, Any]) -> Any:
    """``document`` with texts turned into the numbers and truth values that the schema asks for.

    Snakemake hands over every leaf of a list or mapping given by ``--config`` as text.
    """
    if isinstance(document, Mapping):
        return {key: typed(value, _property(schema, key)) for key, value in document.items()}
    if isinstance(document, list):
        return [typed(item, schema.get("items", {})) for item in document]
    if isinstance(document, str) and schema.get("type") in ("integer", "number", "boolean"):
        value = yaml.load(document, Loader=_UniqueKeys)
        return value if isinstance(value, int | float) else document
    return document


def _property(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    other = schema.get("additionalProperties", {})
    return schema.get("properties", {}).get(key, other if isinstance(other, Mapping) else {})


def _sentences(error: Any, where: str) -> list[str]:
    place = ".".join([where, *(str(part) for part in error.absolute_path)])
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = [key for key in error.instance if key not in known]
        return [f"{place} has the unknown key {key!r}: {nearest(key, known)}" for key in extra]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [f"{place} lacks the key {key!r}" for key in missing]
    if error.validator == "enum":
        return [f"{place} is {error.instance!r}: {nearest(error.instance, map(str, error.validator_value))}"]
    if error.validator == "type":
        return [f"{place} is {error.instance!r}, expected {_kind(error.validator_value)}"]
    if error.validator in ("oneOf", "anyOf"):
        options = " or ".join(" with ".join(part.get("required", [])) for part in error.validator_value)
        return [f"{place} needs exactly one of: {options}"]
    return [f"{place}: {error.message}"]


def _kind(name: str | list[str]) -> str:
    words = {"integer": "a whole number", "number": "a number", "object": "a mapping", "array": "a list"}
    words |= {"string": "text", "boolean": "true or false"}
    names = [name] if isinstance(name, str) else name
    return " or ".join(words.get(part, part) for part in names)


def _is_integer(checker: Any, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker: Any, value: object) -> bool:
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


# 1.0 is no seed and no number of epochs; NaN and infinity have no canonical JSON.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer).redefine("number", _is_number)
_Validator = extend(Draft202012Validator, type_checker=_TYPES)


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a mapping that defines a key twice; `on` and `yes` are text, as in YAML 1.2."""


def _construct_mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    own = [loader.construct_object(key, deep=True) for key, _ in node.value if key.tag != _MERGE]
    for key in own:
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, f"{key!r} cannot be a key", node.start_mark)
        if own.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is defined twice", node.start_mark)
    loader.flatten_mapping(node)
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


_BOOLEAN, _MERGE = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:merge"
_UniqueKeys.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_UniqueKeys.add_implicit_resolver(_BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
