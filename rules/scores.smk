"""Detectors fitted once a run, scores of one set a job, metrics of one run a job."""


def train_features(wildcards):
    return feature_path(run_of(wildcards), id_set(wildcards.benchmark, "train"))


def evaluate_inputs(wildcards):
    run = run_of(wildcards)
    return {
        "id_scores": score_path(run, id_set(run.benchmark, "test")),
        "ood_scores": [score_path(run, part) for part in ood_sets(run.benchmark)],
        "train": feature_path(run, id_set(run.benchmark, "train")),
        "test": feature_path(run, id_set(run.benchmark, "test")),
        "readout": run_path(EVALUATION + "/readout.h5", run),
    }


rule fit_scores:
    input:
        train=train_features,
        readout=EVALUATION + "/readout.h5",
    output:
        detectors=EVALUATION + "/detectors.h5",
    log:
        LOGS + "/fit_scores/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings(steps.score_settings),
        digest=run_digest(steps.score_digest),
    message:
        "fit the detectors of {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/fit_scores.py"


rule score:
    input:
        features=FEATURES,
        train=train_features,
        detectors=EVALUATION + "/detectors.h5",
    output:
        scores=SCORES,
    log:
        LOGS + "/score/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}/{dataset}/{split}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings(steps.score_settings),
        digest=run_digest(steps.score_digest),
    message:
        "score {wildcards.dataset}/{wildcards.split} by {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/score.py"


rule evaluate:
    input:
        unpack(evaluate_inputs),
    output:
        metrics=EVALUATION + "/metrics.csv",
        provenance=EVALUATION + "/metrics.csv.provenance.json",
    log:
        LOGS + "/evaluate/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=settings(steps.evaluate_settings),
        digest=steps.digest("methods.metrics.evaluation"),
    message:
        "evaluate {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/evaluate.py"
