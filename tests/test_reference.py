"""The pages of docs/reference: as generated now, and holding everything that they are generated from."""

import re

import numpy as np
import pytest
import yaml

from methods import registry
from methods.features.arrays import Features, Readout
from methods.metrics.evaluation import evaluation_rows, tuned_rows
from methods.metrics.multilabel import multilabel_rows
from methods.metrics.records import COLUMNS, LEVELS, RECORDS
from methods.reporting import target_page
from methods.reporting.method_page import loss
from methods.reporting.metric_page import definition, levels_of
from methods.reporting.pages import code, docstring, fenced, kind, prose, table
from methods.reporting.reference_pages import pages, write
from methods.reporting.schema_page import CONFIG_EXAMPLE, PAPER_EXAMPLE, sections
from methods.reporting.tables.parts import METRICS
from methods.settings.checks import TARGETS
from methods.settings.load import load_study
from methods.settings.papers import REQUIRED, TRAINING
from methods.settings.schema import load_schema, problems
from methods.training.schedules import SCHEDULES
from methods.training.switches import SWITCHES
from tests.workflow import ROOT

FOLDER = ROOT / "docs/reference"
PAGES = pages()
SCHEMAS = {"config": "config.md", "paper": "papers.md", "datasets": "datasets.md"}
PARTS = {
    "objectives": "methods.md",
    "networks": "methods.md",
    "scores": "scores.md",
    "reporting.figures": "papers.md",
    "reporting.tables": "papers.md",
    "data.readers": "datasets.md",
}
# Keywords of JSON schemas that ours use; any other key beside a type is a description cut off at its comma
KEYWORDS = {"$schema", "$defs", "$ref", "title", "description", "type", "enum", "const", "default", "properties"}
KEYWORDS |= {"additionalProperties", "propertyNames", "required", "items", "minItems", "maxItems", "uniqueItems"}
KEYWORDS |= {"minProperties", "maxProperties", "minimum", "maximum", "exclusiveMinimum", "pattern", "minLength"}
KEYWORDS |= {"if", "then", "else", "oneOf", "dependentRequired"}


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_the_one_generated_now(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name], "run `make docs` and commit docs/reference"


def test_no_page_lies_there_that_nothing_generates():
    assert {path.name for path in FOLDER.glob("*.md")} == set(PAGES)


def test_one_command_writes_all_pages_and_leaves_nothing_else(tmp_path):
    write(tmp_path / "new")
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new").iterdir()} == PAGES


@pytest.mark.parametrize("name", PAGES)
def test_anchors_are_unique_and_links_within_the_reference_lead_somewhere(name):
    text = re.sub(r"```.*?```", "", PAGES[name], flags=re.S)
    explicit = re.findall(r'<a id="([^"]+)">', text)
    assert len(explicit) == len(set(explicit))
    for target, anchor in re.findall(r"\]\(([\w-]+\.md)?#([^)]+)\)", text):
        assert anchor in anchors(PAGES[target or name]), f"{target or name}#{anchor}"
    for target in re.findall(r"\]\(([\w-]+\.md)[)#]", text):
        assert target in PAGES


def anchors(text):
    """Names that a page can be linked at: explicit ones, and headings as GitHub and MkDocs name them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return {*slugs, *re.findall(r'<a id="([^"]+)">', text)}


@pytest.mark.parametrize("name", PAGES)
def test_tables_have_as_many_cells_in_every_row_and_html_is_only_anchors(name):
    text = re.sub(r"```.*?```", "", PAGES[name], flags=re.S)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block
    plain = re.sub(r"`[^`]*`|<https?://[^>]*>", "", text)
    assert set(re.findall(r"<[^>]*>", plain)) <= {*re.findall(r'<a id="[\w.-]+">', plain), "</a>"}


# Schemas


def keys(schema, root, path=""):
    """Path of every named key of a schema, whatever stands between: names of the user's, lists, references."""
    part = root["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for key, inner in part.get("properties", {}).items():
        yield f"{path}.{key}".lstrip("."), inner
        yield from keys(inner, root, f"{path}.{key}".lstrip("."))
    for key in ("additionalProperties", "items"):
        if isinstance(part.get(key), dict):
            yield from keys(part[key], root, path)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_of_a_schema_has_an_anchor_and_its_description(name):
    schema, text = load_schema(name), PAGES[SCHEMAS[name]]
    found = dict(keys(schema, schema))
    assert len(found) > 15
    for path, part in found.items():
        described = path.replace("weights.files", "datasets.files")  # the same keys, shown once
        assert f'<a id="{described}"></a>' in text, path
        assert prose(part.get("description", "")) in text, path


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_page_says_which_keys_are_required_and_their_choices_and_defaults(name):
    text = PAGES[SCHEMAS[name]]
    homes = {}
    for section in sections(load_schema(name)):
        if homes.setdefault(id(section.schema), section.path) != section.path:
            continue
        for key, part in section.schema["properties"].items():
            path = f"{section.path}.{key}".lstrip(".")
            row = next((line for line in text.splitlines() if line.startswith(f'| <a id="{path}"></a>`{key}` |')), None)
            if row is None:  # a mapping with a section of its own
                continue
            assert ("*required*" in row) == (key in section.required and "default" not in part), path
            assert all(code(choice) in row for choice in part.get("enum", []))
            assert "default" not in part or f"| {code(part['default'])} |" in row, path


@pytest.mark.parametrize("name", [*SCHEMAS, "published"])
def test_no_description_of_a_schema_is_cut_off_at_a_comma(name):
    def walk(part, named):
        """Keys of the parts of a schema that are no keyword; under ``named`` keys are names."""
        if isinstance(part, dict):
            for key, inner in part.items():
                if not named and key not in KEYWORDS:
                    yield key
                names = not named and key in ("properties", "$defs", "dependentRequired", "default")
                yield from walk(inner, names)
        elif isinstance(part, list):
            for inner in part:
                yield from walk(inner, False)

    assert list(walk(load_schema(name), False)) == []


def test_the_example_of_a_config_is_valid():
    document = yaml.safe_load(CONFIG_EXAMPLE)
    assert problems(document, load_schema("config"), "config") == []
    assert CONFIG_EXAMPLE in PAGES["config.md"]


def test_the_example_of_a_paper_is_a_paper_that_could_be_run(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(PAPER_EXAMPLE)
    study = load_study({"papers": [str(path)], "seeds": [0]})
    assert [run.method for run in study.runs("digits8")] == ["plain"]
    assert PAPER_EXAMPLE in PAGES["papers.md"]


def test_the_page_of_papers_names_what_every_recipe_must_have():
    line = next(line for line in PAGES["papers.md"].splitlines() if "required of every recipe" in line)
    assert all(f"`{key}`" in line for key in (*REQUIRED, *TRAINING, "checkpoint"))


# Parts


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in PARTS for name in registry.records(package)]
)
def test_every_part_is_on_its_page_with_its_title_and_parameters(package, name):
    record, text = registry.records(package)[name], PAGES[PARTS[package]]
    assert record["title"] in text
    assert re.search(rf"^#+ {name}$", text, re.M) or f"| `{name}` |" in text
    for key, part in record.get("parameters", {}).items():
        assert f"| `{key}` | {kind(part)} |" in text
        assert part["description"].strip()
        assert prose(part["description"]).replace("|", r"\|") in text


@pytest.mark.parametrize("name", registry.records("objectives"))
def test_every_objective_says_its_loss_and_what_its_release_does(name):
    record, text = registry.records("objectives")[name], PAGES["methods.md"]
    section = re.search(rf"^### {name}\n(.*?)(?=^###? )", text, re.M | re.S)[1]
    assert re.search(r"=|log|entropy", loss(name))
    assert fenced(loss(name)) in section
    for switch, value in record.get("switches", {}).items():
        assert f"(#switch-{switch}): {code(value)} instead of {code(SWITCHES[switch]['corrected'])}" in section
    assert ("Under the protocol `released`" in section) == ("released" in record["protocols"])


def test_every_switch_and_every_schedule_is_on_the_page_of_methods():
    text = PAGES["methods.md"]
    for name, switch in SWITCHES.items():
        row = next(line for line in text.splitlines() if line.startswith(f'| <a id="switch-{name}"></a>`{name}` |'))
        assert all(code(value) in row for value in switch["values"])
        assert prose(switch["description"]) in row
    for name, function in SCHEDULES.items():
        row = next(line for line in text.splitlines() if line.startswith(f'| <a id="schedule-{name}"></a>`{name}` |'))
        assert function.__doc__.split("\n")[0].split("``")[0].strip().rstrip(".") in row


# Metrics


def rows_of_both_tasks():
    """Every kind of row that metrics.csv can hold, of random features."""
    draw = np.random.default_rng(0)
    inside, outside = {"s": draw.normal(size=40) + 1}, {"far": {"s": draw.normal(size=30)}}
    settings = {"groups": {"all": ["far"]}, "bootstrap": 10, "classes": ["a", "b", "c"]}

    def features(labels):
        arrays = {"embedding": draw.normal(size=(40, 4)), "logits": draw.normal(size=(40, 3))}
        ids = tuple(map(str, range(40)))
        return Features(**arrays, projection=draw.normal(size=(40, 2)), labels=labels, sample_ids=ids)

    readout = Readout(prototypes=draw.normal(size=(3, 2)), prototype_classes=np.arange(3))
    single, multi = features(np.arange(40) % 3), features((draw.random((40, 3)) < [0.6, 0.4, 0.2]).astype(np.uint8))
    yield from evaluation_rows({**settings, "task": "single_label"}, inside, outside, single, single, readout)
    yield from evaluation_rows({**settings, "task": "multi_label"}, inside, outside, multi, multi, readout)
    tail = {**settings, "task": "multi_label", "tail_steps": [1], "head_classes": 1}
    yield from multilabel_rows(tail, inside, outside, multi)
    yield from tuned_rows({"s": {"by": "auroc", "chosen": {"k": 3}}, "t": {"by": "fpr95", "chosen": {"k": 3}}})


def recorded():
    """(level, metric, rule) of every row that the records promise; bounds count as the rule they are of."""
    for name, record in RECORDS.items():
        for level in levels_of(record):
            left_out = record.get("without_interval", []) if level == "interval" else []
            yield from ((level, name, rule) for rule in record["rules"] if rule not in left_out)


def test_the_records_of_metrics_are_what_evaluation_writes():
    rows = list(rows_of_both_tasks())
    bounds = re.compile(r":?(low|high)95$")
    assert {(row["level"], row["metric"], bounds.sub("", row["rule"])) for row in rows} == set(recorded())
    assert {key for row in rows for key in row} == set(COLUMNS)
    assert {row["level"] for row in rows} == set(LEVELS)


def test_the_records_of_metrics_agree_with_the_tables():
    assert {name: (RECORDS[name]["title"], RECORDS[name]["direction"]) for name in METRICS} == METRICS
    table_keys = load_schema("paper")["properties"]["tables"]["additionalProperties"]["properties"]
    assert table_keys["fpr_rule"]["enum"] == list(RECORDS["fpr95"]["rules"])
    assert table_keys["aupr_rule"]["enum"] == list(RECORDS["aupr_in"]["rules"]) == list(RECORDS["map"]["rules"])


@pytest.mark.parametrize("name", RECORDS)
def test_every_metric_and_each_of_its_rules_is_defined(name):
    record, text = RECORDS[name], PAGES["metrics.md"]
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
    assert record["meaning"] in section
    for rule, function in record["rules"].items():
        assert f"`{rule}`" in text or not rule
        if function:
            assert definition(function).split()[0] in section
            assert len(definition(function)) > 20


# Targets

SNAKEFILE = '''
rule all:
    """Everything that
    is asked for."""
    default_target: True
    input:
        [part for part in PARTS],


for paper in PAPERS:

    rule:
        "One paper."
        name:
            paper
        input:
            paper,


rule:
    name:
        "site"
    """All results as pages."""
    input:
        f"{SITE}/index.html",


rule environment:
    output:
        csv=report("environment.csv", caption="../captions/environment.rst", category="Environment"),


rule make_site:
    "Pages of all results."
    input:
        [],
    output:
        index=f"{SITE}/index.html",
        table=TABLE,
    script:
        "x.py"
'''


def test_rules_are_read_with_their_names_docstrings_and_files():
    paths = target_page.constants(['SITE = f"{RESULTS}/site"\nTABLE = f"{SITE}/{{name}}.csv"\n'])
    found = {rule.name: rule for rule in target_page.rules(SNAKEFILE, paths)}
    assert {name: rule.text for name, rule in found.items()} == {
        "all": "Everything that\nis asked for.",
        "<paper>": "One paper.",
        "site": "All results as pages.",
        "environment": "",
        "make_site": "Pages of all results.",
    }
    assert found["make_site"].files == ("results/site/index.html", "results/site/{name}.csv")
    assert found["environment"].files == ("environment.csv",)
    assert [name for name, rule in found.items() if rule.is_target] == ["all", "<paper>", "site"]


def test_every_rule_and_every_target_of_make_is_on_the_page():
    text = PAGES["targets.md"]
    assert all(f"| `{name}` |" in text for name in (*TARGETS, "<paper>"))
    assert len(re.findall(r"^\| `[\w<>]+` \|", text, re.M)) == len(TARGETS) + 1
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    phony.remove("named")  # what refuses a missing TARGET
    assert set(target_page.make_targets(makefile)) == set(phony)
    assert all(f"| `make {name}` |" in text for name in phony)


# What pages are made of


def test_prose_marks_names_as_code_and_takes_nothing_for_html():
    assert prose("name -> file in data/<set>/ (tune_scores), see docs/cluster.md; `a_b` < <x>") == (
        "name → file in `data/<set>/` (`tune_scores`), see [cluster](../cluster.md); `a_b` &lt; `<x>`"
    )
    assert prose("turn requirements*.in into metrics.csv, and/or 1.5; my/<class>/<picture>.") == (
        "turn `requirements*.in` into `metrics.csv`, and/or 1.5; `my/<class>/<picture>`."
    )


def test_values_of_a_schema_are_told_in_words():
    assert kind({"type": "integer", "minimum": 1}) == "whole number at least 1"
    assert kind({"type": "number", "minimum": 0, "exclusiveMaximum": 1}) == "number at least 0, below 1"
    assert kind({"type": ["number", "null"], "exclusiveMinimum": 0}) == "number above 0 or `null`"
    assert kind({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}) == "list of 2 numbers"
    assert kind({"enum": ["a", True, 3]}) == "`a`, `true`, `3`"
    assert [code(value) for value in (["a", 1], "", None, {})] == ["`[a, 1]`", '`""`', "`null`", "`{}`"]


def test_wide_formulas_are_broken_after_a_comma_and_never_within_brackets():
    wide = "s = a(b, c) over everything that is here" + ", and what is not here at all, nor there" * 3 + "."
    lines = fenced(wide).splitlines()[1:-1]
    assert max(map(len, lines)) <= 78
    assert " ".join(lines) == wide
    assert all(line.endswith((",", ".")) for line in lines)
    assert fenced("``x`` of :func:`y`\n    z = 1") == "```text\nx of y\n    z = 1\n```\n"


def test_a_pipe_in_a_cell_does_not_end_it():
    assert table(["a"], [["|x|"]]) == "| a |\n| --- |\n| \\|x\\| |\n"


def test_a_docstring_is_read_without_its_sections(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""M."""\n\n\ndef f():\n    """F.\n\n    More.\n\n    Args:\n        x: y.\n    """\n')
    assert (docstring(path), docstring(path, "f"), docstring(path, "g")) == ("M.", "F.\n\nMore.", "")
