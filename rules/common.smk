"""Paths, the study, and small helpers. Light imports only: a dry run reads this file and nothing heavy."""

import json
from pathlib import Path

from snakemake.exceptions import WorkflowError

from methods.data.catalog import file_record, source_files
from methods.data.render import render_name
from methods.errors import ReproError
from methods.files import sha256_bytes
from methods.provenance import canonical_json
from methods.settings import outputs, steps
from methods.settings.study import Run, load_study
from workflow_scripts.launch import register_owner

register_owner()
try:
    STUDY = load_study(config)
except ReproError as error:
    raise WorkflowError("the configuration cannot be used:\n" + "\n".join(f"  {line}" for line in str(error).splitlines()))

DATA = STUDY.config["data"]["folder"]
RESULTS = STUDY.config["results"]["folder"]

ARCHIVE = DATA + "/archives/{dataset}/{file}"
IMAGES = DATA + "/images/{dataset}/{split}@{render}.h5"
RUN = RESULTS + "/runs/{benchmark}/{method}/{protocol}/seed{seed}"
EVALUATION = RUN + "/eval-{evaluation}"
FEATURES = EVALUATION + "/features/{dataset}/{split}.h5"
SCORES = EVALUATION + "/scores/{dataset}/{split}.h5"
PAPER = RESULTS + "/papers/{paper}"
REPORT = RESULTS + "/report.html"
LOGS = "logs"

# Jobs of a kind that use a GPU say so; the total is given in profiles/default.
GPUS = 0 if STUDY.config["hardware"]["device"] == "cpu" else 1


wildcard_constraints:
    dataset=r"[a-z][a-z0-9_]*",
    split=r"[a-z][a-z0-9_]*",
    render=r"[0-9]+px-[a-z_]+",
    file=r"[A-Za-z0-9._-]+",
    benchmark=r"[a-z][a-z0-9_-]*",
    method=r"[a-z][a-z0-9_-]*",
    protocol="corrected|released",
    evaluation="corrected|released",
    seed=r"[0-9]+",
    paper=r"[a-z][a-z0-9_]*",
    name=r"[a-z][a-z0-9_-]*",


def run_of(wildcards):
    return Run(wildcards.benchmark, wildcards.method, wildcards.protocol, int(wildcards.seed))


def run_path(pattern, run, **more):
    return pattern.format(
        benchmark=run.benchmark,
        method=run.method,
        protocol=run.protocol,
        evaluation=run.protocol,
        seed=run.seed,
        **more,
    )


def settings(function):
    """A params function that gives canonical JSON: key order and layout never cause a rerun."""
    return lambda wildcards: canonical_json(function(STUDY, run_of(wildcards)))


def run_digest(function):
    return lambda wildcards: function(STUDY, run_of(wildcards))


def hardware(**more):
    """A params function of wildcards and input, which Snakemake does not track: hardware never causes a rerun."""

    def untracked(wildcards, input):
        name = f"{wildcards.benchmark}/{wildcards.method}/seed{wildcards.seed}"
        return canonical_json({**STUDY.config["hardware"], "name": name, **more})

    return untracked


def cpu_threads(wildcards):
    return STUDY.recipe(run_of(wildcards))["cpu_threads"]


def image_path(dataset, split, benchmark):
    render = render_name(STUDY.benchmarks[benchmark]["render"])
    return IMAGES.format(dataset=dataset, split=split, render=render)


def image_stores(study):
    """Every prepared split that the benchmarks of all papers use."""
    paths = []
    for name, methods in study.evaluate.items():
        for run in study.runs(name):
            paths += [image_path(*part, name) for part in steps.train_sets(study, run).values()]
            paths += [image_path(*part, name) for part in evaluated_sets(name)]
    return sorted(set(paths))


def evaluated_sets(benchmark):
    """(data set, split) of ID training, ID test and every OOD set."""
    return [id_set(benchmark, "train"), id_set(benchmark, "test"), *ood_sets(benchmark)]


def id_set(benchmark, role):
    source = STUDY.benchmarks[benchmark]["in_distribution"]
    return source["dataset"], source[role]


def ood_sets(benchmark):
    return [(name, part["split"]) for name, part in sorted(STUDY.ood_sets(benchmark).items())]


def feature_path(run, part):
    return run_path(FEATURES, run, dataset=part[0], split=part[1])


def score_path(run, part):
    return run_path(SCORES, run, dataset=part[0], split=part[1])


def table_outputs(paper):
    return expand(PAPER + "/tables/{name}.{form}", paper=paper, name=STUDY.papers[paper]["tables"], form=["csv", "md", "tex"])


def figure_outputs(paper):
    return expand(PAPER + "/figures/{name}.{form}", paper=paper, name=STUDY.papers[paper]["figures"], form=["svg", "pdf"])


def paper_outputs(paper):
    return table_outputs(paper) + figure_outputs(paper)
