"""Paths, the study, and small helpers. Light imports only: a dry run reads this file and nothing heavy."""

import sys
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError

from methods.data import availability, downloads
from methods.data.catalog import file_record, owner_of
from methods.data.places import archive_places, wanted
from methods.data.render import parse_render, render_name
from methods.errors import ReproError
from methods.provenance import canonical_json
from methods.settings import dilation, imports, outputs, pretrained, steps, tuning
from methods.settings.load import load_study
from methods.settings.schema import load_yaml, nearest
from methods.settings.study import Run
from workflow_scripts.gpus import gpus_claimed
from workflow_scripts.launch import register_owner

register_owner(workflow.basedir)
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

# Jobs that may use a GPU claim one where there is one; the total is given in profiles/default.
GPUS = gpus_claimed(STUDY.config["hardware"]["device"])
TRAIN_GPUS = GPUS * STUDY.config["hardware"]["devices"]


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


def extract_settings(wildcards):
    chosen = steps.extract_settings(STUDY, run_of(wildcards), wildcards.dataset, wildcards.split)
    return canonical_json(chosen)


def network_score_settings(wildcards):
    chosen = steps.network_score_settings(STUDY, run_of(wildcards), wildcards.dataset, wildcards.split)
    return canonical_json(chosen)


def run_digest(function):
    return lambda wildcards: function(STUDY, run_of(wildcards))


def cpu_threads(wildcards):
    return STUDY.recipe(run_of(wildcards))["cpu_threads"]


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


def paper_results(paper):
    return [*paper_outputs(paper), *expand(REPORT, paper=paper)]


def require_name(what, name, known):
    if name not in known:
        raise WorkflowError(f"there is no {what} {name!r}: {nearest(name, known)}")


def asked_file(wildcards):
    require_name("data set or weights", wildcards.dataset, CATALOG)
    known = [file["name"] for file in CATALOG[wildcards.dataset].get("files", [])]
    require_name(f"file of {wildcards.dataset}", wildcards.file, known)
    return file_record(CATALOG, wildcards.dataset, wildcards.file)


def asked_split(wildcards):
    require_name("data set", wildcards.dataset, STUDY.catalog)
    require_name(f"split of {wildcards.dataset}", wildcards.split, STUDY.catalog[wildcards.dataset]["splits"])
    return wildcards.dataset, wildcards.split


def archive_record(wildcards):
    return canonical_json(asked_file(wildcards))


def files_of(wildcards):
    """Fetched files and, for a split found in a folder of the user's, its manifest."""
    part = (STUDY.catalog, *asked_split(wildcards), FOLDERS, DATA)
    if not availability.can_be_had(*part):
        bring = " ".join(STUDY.catalog[owner_of(STUDY.catalog, wildcards.dataset)]["bring"].split())
        raise WorkflowError(f"{wildcards.dataset} is not available here: {bring}")
    files = availability.files_to_have(*part)
    fetched = {"fetched": [ARCHIVE.format(dataset=owner, file=name) for name, owner in files.items()]}
    return {"source": SOURCE, **fetched} if availability.in_folder(*part) else fetched


def source_settings(wildcards):
    return canonical_json(asdict(wanted(STUDY.catalog, *asked_split(wildcards))))


def prepare_settings(wildcards):
    render = parse_render(wildcards.render)
    return canonical_json(steps.prepare_settings(STUDY, *asked_split(wildcards), render))


def train_inputs(wildcards):
    run = run_of(wildcards)
    source = STUDY.recipe(run).get("checkpoint")
    if source is not None:
        return {"weights": source.get("file") or archive_path(*imports.download(source))}
    sets, weights = steps.train_sets(STUDY, run), pretrained.weights_file(STUDY, run)
    stores = {role: image_path(*part, wildcards.benchmark) for role, part in sets.items()}
    return stores | ({pretrained.ROLE: archive_path(*weights)} if weights else {})


def archive_path(dataset, file):
    return ARCHIVE.format(dataset=dataset, file=file)


def dilation_inputs(wildcards):
    benchmark, weights = wildcards.benchmark, dilation.dilation_weights(STUDY, wildcards.benchmark)
    found = {"train": image_path(*id_set(benchmark, "train"), benchmark)}
    if weights:
        found[pretrained.ROLE] = archive_path(*weights)
    return {
        **found,
        "candidates": [image_path(*part, benchmark) for part in dilation.candidates(STUDY, benchmark).items()],
    }


def dilation_settings(wildcards):
    return canonical_json(dilation.dilation_settings(STUDY, wildcards.benchmark, int(wildcards.seed)))


def dilation_threads(wildcards):
    return STUDY.benchmarks[wildcards.benchmark]["outlier_selection"]["cpu_threads"]


def train_features(wildcards):
    return feature_path(run_of(wildcards), id_set(wildcards.benchmark, "train"))


def score_inputs(wildcards):
    needed = steps.scores_need_training_set(STUDY, run_of(wildcards))
    return {"train": train_features(wildcards)} if needed else {}


def tune_inputs(wildcards):
    run = run_of(wildcards)
    chosen, parts = steps.tune_settings(STUDY, run), tuning.splits(STUDY, run.benchmark)
    found = {"train": train_features(wildcards), "readout": run_path(READOUT, run)}
    if chosen["arrays"]:
        found["features"] = [feature_path(run, part) for part in parts]
    if chosen["network"]:
        found |= {"model": run_path(MODEL, run), "images": [image_path(*part, run.benchmark) for part in parts]}
    return found


def tune_gpus(wildcards):
    return GPUS if steps.tune_settings(STUDY, run_of(wildcards))["network"] else 0


def score_gpus(wildcards):
    return GPUS if steps.scores_use_gpu(STUDY, run_of(wildcards)) else 0


def tuned_inputs(run):
    return {"tuned": run_path(TUNED, run)} if steps.tuned(STUDY, run) else {}


def fit_inputs(wildcards):
    run = run_of(wildcards)
    found = {"train": train_features(wildcards), "readout": run_path(READOUT, run), **tuned_inputs(run)}
    if steps.fits_on_validation(STUDY, run):
        found["validation"] = feature_path(run, id_set(run.benchmark, "validation"))
    return found


def network_score_inputs(wildcards):
    return image_path(wildcards.dataset, wildcards.split, wildcards.benchmark)


def network_score_paths(run, parts):
    """Files of the scores that need the network; none for a run without such scores."""
    wanted = steps.network_score_settings(STUDY, run)["instances"]
    return [run_path(NETWORK_SCORES, run, dataset=part[0], split=part[1]) for part in parts if wanted]


def evaluate_inputs(wildcards):
    run = run_of(wildcards)
    return {
        "id_network": network_score_paths(run, [id_set(run.benchmark, "test")]),
        "ood_network": network_score_paths(run, ood_sets(run.benchmark)),
        "id_scores": score_path(run, id_set(run.benchmark, "test")),
        "ood_scores": [score_path(run, part) for part in ood_sets(run.benchmark)],
        "train": feature_path(run, id_set(run.benchmark, "train")),
        "test": feature_path(run, id_set(run.benchmark, "test")),
        "readout": run_path(READOUT, run),
        **tuned_inputs(run),
    }


def table_entry(wildcards):
    return STUDY.papers[wildcards.paper]["tables"][wildcards.name]


def figure_entry(wildcards):
    return STUDY.papers[wildcards.paper]["figures"][wildcards.name]


def table_inputs(wildcards):
    entry = table_entry(wildcards)
    needs = outputs.output_record(entry)["needs"]
    if needs == "dilation":
        return [DILATION.format(benchmark=entry["benchmark"], seed=seed) for seed in STUDY.config["seeds"]]
    pattern = {"cost": COST, "metrics": METRICS}[needs]
    return [run_path(pattern, run) for run in outputs.table_runs(STUDY, wildcards.paper, entry)]


def figure_inputs(wildcards):
    return [
        figure_source(source, run)
        for source, run in outputs.figure_sources(STUDY, wildcards.paper, figure_entry(wildcards))
    ]


def figure_source(source, run):
    if source["needs"] == "dilation":
        return DILATION.format(benchmark=run.benchmark, seed=run.seed)
    if "dataset" not in source:
        return run_path({"history": HISTORY, "metrics": METRICS}[source["needs"]], run)
    pattern = {"scores": SCORES, "features": FEATURES}[source["needs"]]
    return run_path(pattern, run, dataset=source["dataset"], split=source["split"])


def benchmark_label(wildcards, kind):
    return STUDY.benchmarks[STUDY.papers[wildcards.paper][kind][wildcards.name]["benchmark"]]["title"]


if workflow.is_main_process:  # every job reads this file again
    for line in [*STUDY.notices, *downloads.announce(files_to_fetch(), DATA, STUDY.config["offline"])]:
        print(line, file=sys.stderr)
