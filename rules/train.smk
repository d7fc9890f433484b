"""One model a run: benchmark, method, protocol, seed."""


rule train:
    "one model: benchmark, method, protocol and seed"
    input:
        unpack(train_inputs),
    output:
        model=MODEL,
        history=HISTORY,
        cost=COST,
    log:
        "logs/train/{benchmark}/{method}/{protocol}/seed{seed}.log",
    cache: "omit-software"
    priority: 2  # what takes longest begins first
    conda:
        "../envs/ood-repro.yaml"
    threads: cpu_threads
    resources:
        mem_mb=lambda wildcards, input: 6000 + int(input.size_mb),  # all training images, and a batch's activations
        runtime=2880,
        gpu=TRAIN_GPUS,
    params:
        settings=settings(steps.train_settings),
        digest=by_run(digests.train_digest),
        verb=lambda wildcards, input: training_verb(wildcards),  # with `input`: untracked
    message:
        "{params.verb} {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed} ({wildcards.protocol})"
    script:
        "../workflow_scripts/train.py"
