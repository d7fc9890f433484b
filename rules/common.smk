"""Paths, the study, and small helpers. Light imports only: a dry run reads this file and nothing heavy."""

import gc
import inspect
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, workflow.basedir)

from workflow_scripts.installed import PLANNING, require_for_jobs, require_packages

require_packages(PLANNING)

from methods.data import availability, downloads
from methods.data.catalog import file_record, owner_of
from methods.data.places import archive_places, wanted
from methods.data.render import parse_render, render_name
from methods.errors import ReproError
from methods.files import sha256_file
from methods.provenance import canonical_json
from methods.settings import digests, dilation, imports, outputs, packing, pretrained, steps, tuning
from methods.settings.load import load_study
from methods.settings.schema import load_yaml, nearest
from methods.settings.study import Run
from workflow_scripts.begin import begin, blame_disk, end
from workflow_scripts.cluster.head import announce_head
from workflow_scripts.jobs import ahead
from workflow_scripts.gpus import gpus_claimed, limit_gpus
from workflow_scripts.launch import register_owner
from workflow_scripts.lines import ending, plan_file

# Calls that only name rules: notices between the lines would drown them
LISTS = frozenset({"--list", "-l", "--list-rules", "--list-target-rules", "--lt", "--lint"})

try:
    register_owner(workflow.basedir, workflow.is_main_process)
except ReproError as error:
    raise WorkflowError(str(error))
if workflow.is_main_process:
    ending.listen(workflow, sys.stderr)
# Told of five rules by every process; README and docs tell of --cache
logger.addFilter(lambda record: not str(record.msg).startswith("Workflow defines that rule"))
# A DAG is millions of objects that all stay: looking for garbage among them is in vain
gc.set_threshold(100_000, 50, 50)
try:
    for file in workflow.configfiles:
        load_yaml(Path(file))  # refuses a key given twice, of which Snakemake would take the last
    STUDY = load_study(config)
except ReproError as error:
    lines = [f"  {line}" for line in str(error).splitlines()]
    raise WorkflowError("\n".join(["the configuration cannot be used:", *lines]))

config.update(STUDY.config)  # scripts read hardware settings there, with their defaults

CATALOG = STUDY.catalog | STUDY.weights  # all that has files to fetch
FOLDERS = STUDY.config["data"]["sources"]
DATA = STUDY.config["data"]["folder"]
RESULTS = STUDY.config["results"]["folder"]

ARCHIVE = f"{DATA}/archives/{{dataset}}/{{file}}"
SOURCE = f"{DATA}/sources/{{dataset}}/{{split}}.json"
IMAGES = f"{DATA}/images/{{dataset}}/{{split}}@{{render}}.h5"
RUN = f"{RESULTS}/runs/{{benchmark}}/{{method}}/{{protocol}}/seed{{seed}}"
MODEL = f"{RUN}/model.safetensors"
HISTORY = f"{RUN}/history.csv"
COST = f"{RUN}/cost.csv"
EVALUATION = f"{RUN}/eval-{{evaluation}}"
FEATURES = f"{EVALUATION}/features/{{dataset}}/{{split}}.h5"
READOUT = f"{EVALUATION}/readout.h5"
TUNED = f"{EVALUATION}/tuned.json"
DETECTORS = f"{EVALUATION}/detectors.h5"
SCORES = f"{EVALUATION}/scores/{{dataset}}/{{split}}.h5"
NETWORK_SCORES = f"{EVALUATION}/network_scores/{{dataset}}/{{split}}.h5"
METRICS = f"{EVALUATION}/metrics.csv"
TABLE = f"{RESULTS}/papers/{{paper}}/tables/{{name}}"
FIGURE = f"{RESULTS}/papers/{{paper}}/figures/{{name}}"
DILATION = f"{RESULTS}/outlier_selection/{{benchmark}}/seed{{seed}}.csv"
ENVIRONMENT = f"{RESULTS}/environment.csv"
REPORT = f"{RESULTS}/papers/{{paper}}/report.html"
SITE = f"{RESULTS}/site"
BUNDLE = f"{RESULTS}/papers/{{paper}}/bundle.zip"

# Jobs that may use a GPU claim one where there is one; on this machine they share its GPUs.
GPUS = gpus_claimed(STUDY.config["hardware"]["device"])
TRAIN_GPUS = GPUS * STUDY.config["hardware"]["devices"]
if GPUS:
    limit_gpus(workflow)


if STUDY.config["container"]:

    container: STUDY.config["container"]


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
    benchmark, method = wildcards.benchmark, wildcards.method
    if (method, benchmark) not in STUDY.recipes:
        require_name("benchmark", benchmark, STUDY.evaluate)
        require_name(f"recipe of {benchmark}", method, [name for name, place in STUDY.recipes if place == benchmark])
    return Run(benchmark, method, wildcards.protocol, int(wildcards.seed))


def run_path(pattern, run, **more):
    return pattern.format(
        benchmark=run.benchmark,
        method=run.method,
        protocol=run.protocol,
        evaluation=run.protocol,
        seed=run.seed,
        **more,
    )


def signed(function):
    """``function`` with its signature kept: Snakemake asks for it three times a call, which takes longer than the call."""
    function.__signature__ = inspect.signature(function)
    return function


def by_run(function):
    """A function of wildcards from one of study and run, which gives the same for all sets of a run: asked once a run."""
    once = cache(lambda run: function(STUDY, run))
    return signed(lambda wildcards: once(run_of(wildcards)))


def settings(function):
    """A params function that gives canonical JSON: key order and layout never cause a rerun."""
    return by_run(lambda study, run: canonical_json(function(study, run)))


@signed
def extract_settings(wildcards):
    chosen = steps.extract_settings(STUDY, run_of(wildcards), wildcards.dataset, wildcards.split)
    return canonical_json(chosen)


@signed
def network_score_settings(wildcards):
    chosen = steps.network_score_settings(STUDY, run_of(wildcards), wildcards.dataset, wildcards.split)
    return canonical_json(chosen)


cpu_threads = by_run(lambda study, run: study.recipe(run)["cpu_threads"])


def image_path(dataset, split, benchmark):
    render = render_name(STUDY.benchmarks[benchmark]["render"])
    return IMAGES.format(dataset=dataset, split=split, render=render)


def image_stores():
    """Path of every prepared split that the benchmarks of all papers use -> (data set, split)."""
    paths = {}
    for name in STUDY.evaluate:
        trained = [part for run in STUDY.runs(name) for part in steps.train_sets(STUDY, run).values()]
        measured = dilation.candidates(STUDY, name).items()
        paths |= {image_path(*part, name): part for part in [*trained, *evaluated_sets(name), *measured]}
    return dict(sorted(paths.items()))


def files_to_fetch():
    """(data set, file) that prepared splits, pretrained weights and checkpoints still need from the network."""
    parts = [part for path, part in image_stores().items() if not Path(path).exists()]
    found = {}
    for part in parts:
        files = availability.files_to_have(STUDY.catalog, *part, FOLDERS, DATA)
        found |= {(owner, name): None for name, owner in files.items()}
    found |= {part: None for part in weights_files() if not archive_places(FOLDERS, *part)}
    missing = [part for part in found if not Path(ARCHIVE.format(dataset=part[0], file=part[1])).exists()]
    records = [(dataset, file_record(CATALOG, dataset, name)) for dataset, name in missing]
    return [(dataset, file) for dataset, file in records if "urls" in file]


def weights_files():
    """(name among the weights, file) of the pretrained weights and the checkpoints with an address that runs start from."""
    runs = [run for name in STUDY.evaluate for run in STUDY.runs(name)]
    sources = [STUDY.recipe(run).get("checkpoint", {}) for run in runs]
    checkpoints = [imports.download(source) for source in sources if "url" in source]
    started = [pretrained.weights_file(STUDY, run) for run in runs]
    measured = [dilation.dilation_weights(STUDY, name) for name in STUDY.evaluate if dilation.candidates(STUDY, name)]
    return list(dict.fromkeys([*checkpoints, *filter(None, [*started, *measured])]))


def evaluated_sets(benchmark):
    """(data set, split) of ID training, ID test, every OOD set, and what scores are tuned or fitted on."""
    parts = [id_set(benchmark, "train"), id_set(benchmark, "test"), *ood_sets(benchmark)]
    for run in STUDY.runs(benchmark):
        parts += steps.validation_parts(STUDY, run)
    return list(dict.fromkeys(parts))


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
    entries = STUDY.papers[paper]["tables"]
    names = [name for name, entry in entries.items() if outputs.possible(STUDY, paper, entry)]
    return expand(
        "{table}.{form}",
        table=expand(TABLE, paper=paper, name=names),
        form=["csv", "md", "tex", "html"],
    )


def figure_outputs(paper):
    entries = STUDY.papers[paper]["figures"]
    names = [name for name, entry in entries.items() if outputs.drawable(STUDY, paper, entry)]
    return expand(
        "{figure}.{form}",
        figure=expand(FIGURE, paper=paper, name=names),
        form=["svg", "pdf"],
    )


def paper_outputs(paper):
    return [*table_outputs(paper), *figure_outputs(paper)]


def files_to_ask_for():
    return [*image_stores(), *(file for paper in STUDY.papers for file in paper_results(paper))]


def paper_results(paper):
    return [*paper_outputs(paper), *expand(REPORT, paper=paper)]


# For whoever asks from outside what is planned, and how long it may take
plan_file.hand_over(STUDY.config, STUDY.evaluate)

ending.know(workflow, files_to_ask_for)
if workflow.is_main_process and LISTS.isdisjoint(sys.argv):  # every job reads this file again
    for line in [*STUDY.notices, *downloads.announce(files_to_fetch(), DATA, STUDY.config["offline"])]:
        print(line, file=sys.stderr)


onstart:
    # The one hook of all rules: of several, Snakemake would take the last
    require_for_jobs(workflow)
    begin(workflow, DATA, RESULTS)
    if workflow.non_local_exec:  # jobs on other machines
        announce_head()
    # With a cache between workflows nobody knows yet which sets lie there
    ahead.announce(workflow.dag.needrun_jobs() if workflow.output_file_cache is None else [])


onsuccess:
    end(workflow, RESULTS)


onerror:
    end(workflow, RESULTS)
    blame_disk([".snakemake", "logs", DATA, RESULTS])
