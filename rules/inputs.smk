"""What the rules read: functions of wildcards, checked so that a wrong name is told with the nearest right one."""


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
    if (base := imports.snapshot_run(STUDY, run)) is not None:
        return {"weights": run_path(MODEL, base)}
    if source is not None:
        return {"weights": source.get("file") or archive_path(*imports.download(source))}
    sets, weights = steps.train_sets(STUDY, run), pretrained.weights_file(STUDY, run)
    stores = {role: image_path(*part, wildcards.benchmark) for role, part in sets.items()}
    return stores | ({pretrained.ROLE: archive_path(*weights)} if weights else {})


def training_verb(wildcards):
    source = STUDY.recipe(run_of(wildcards)).get("checkpoint")
    return "train" if source is None else "take the snapshot" if "recipe" in source else "import"


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


@by_run
def score_inputs(study, run):
    needed = steps.scores_need_training_set(study, run)
    return {"train": feature_path(run, id_set(run.benchmark, "train"))} if needed else {}


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


@by_run
def score_gpus(study, run):
    return GPUS if steps.scores_use_gpu(study, run) else 0


def tuned_inputs(run):
    return {"tuned": run_path(TUNED, run)} if steps.tuned(STUDY, run) else {}


def fit_inputs(wildcards):
    run = run_of(wildcards)
    found = {"train": train_features(wildcards), "readout": run_path(READOUT, run), **tuned_inputs(run)}
    if steps.fits_on_validation(STUDY, run):
        found["validation"] = feature_path(run, id_set(run.benchmark, "validation"))
    return found


@signed
def images_of(wildcards):
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


def asked_paper(wildcards):
    require_name("paper in config.yaml", wildcards.paper, STUDY.papers)
    return wildcards.paper


def asked_entry(wildcards, kind):
    entries = STUDY.papers[asked_paper(wildcards)][f"{kind}s"]
    require_name(f"{kind} of {wildcards.paper}", wildcards.name, entries)
    return entries[wildcards.name]


def table_entry(wildcards):
    return asked_entry(wildcards, "table")


def figure_entry(wildcards):
    return asked_entry(wildcards, "figure")


def table_inputs(wildcards):
    entry = table_entry(wildcards)
    needs = outputs.output_record(entry)["needs"]
    if needs == "dilation":
        return [DILATION.format(benchmark=entry["benchmark"], seed=seed) for seed in STUDY.config["seeds"]]
    sources = outputs.table_sources(STUDY, wildcards.paper, entry)
    if needs == "scores":
        return [run_path(SCORES, run, dataset=dataset, split=split) for run, (dataset, split) in sources]
    return [run_path({"cost": COST, "metrics": METRICS}[needs], run) for run, _ in sources]


def figure_inputs(wildcards):
    return [
        figure_source(source, run)
        for source, run in outputs.figure_sources(STUDY, wildcards.paper, figure_entry(wildcards))
    ]


def figure_source(source, run):
    if source["needs"] == "dilation":
        return DILATION.format(benchmark=run.benchmark, seed=run.seed)
    if "dataset" not in source:
        files = {"history": HISTORY, "metrics": METRICS, "cost": COST, "readout": READOUT}
        return run_path(files[source["needs"]], run)
    pattern = {"scores": SCORES, "features": FEATURES}[source["needs"]]
    return run_path(pattern, run, dataset=source["dataset"], split=source["split"])


def benchmark_label(wildcards, kind):
    return STUDY.benchmarks[STUDY.papers[wildcards.paper][kind][wildcards.name]["benchmark"]]["title"]
