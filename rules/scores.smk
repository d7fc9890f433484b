"""Scores tuned and detectors fitted once a run, scores of one set a job, metrics of one run a job."""


rule tune_scores:
    "values of score parameters, chosen on validation data"
    input:
        unpack(tune_inputs),
    output:
        tuned=TUNED,
        provenance=f"{TUNED}.provenance.json",
    log:
        "logs/tune_scores/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: cpu_threads
    resources:
        mem_mb=8000,
        runtime=480,
        gpu=tune_gpus,
    params:
        settings=settings(steps.tune_settings),
        digest=by_run(digests.tune_digest),
    message:
        "tune the scores of {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/tune_scores.py"


rule fit_scores:
    "what scores learn from the training set, for one model"
    input:
        unpack(fit_inputs),
    output:
        detectors=DETECTORS,
    log:
        "logs/fit_scores/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings(steps.score_settings),
        digest=by_run(digests.score_digest),
    message:
        "fit the detectors of {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/fit_scores.py"


rule score:
    "scores of one split by one model"
    input:
        unpack(score_inputs),
        features=FEATURES,
        detectors=DETECTORS,
    output:
        scores=SCORES,
    log:
        "logs/score/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}/{dataset}/{split}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=score_gpus,
    params:
        settings=settings(steps.array_score_settings),
        digest=by_run(digests.score_digest),
    message:
        "score {wildcards.dataset}/{wildcards.split} by {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/score.py"


rule score_network:
    "scores of one split that need the network and the images"
    input:
        images=images_of,
        model=MODEL,
        detectors=DETECTORS,
    output:
        scores=NETWORK_SCORES,
    log:
        "logs/score_network/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}/{dataset}/{split}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: cpu_threads
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=GPUS,
    params:
        settings=network_score_settings,
        digest=by_run(digests.network_score_digest),
    message:
        "score {wildcards.dataset}/{wildcards.split} through {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/score_network.py"


rule evaluate:
    "metrics of one model over all OOD sets"
    input:
        unpack(evaluate_inputs),
    output:
        metrics=METRICS,
        provenance=report(
            f"{METRICS}.provenance.json",
            caption="../resources/captions/provenance.rst",
            category="Provenance",
            subcategory="runs",
            labels={
                "benchmark": "{benchmark}",
                "method": "{method}",
                "protocol": "{protocol}",
                "seed": "{seed}",
            },
        ),
    log:
        "logs/evaluate/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=settings(steps.evaluate_settings),
        digest=by_run(digests.evaluate_digest),
    message:
        "evaluate {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/evaluate.py"
