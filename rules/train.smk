"""One model a run: benchmark, method, protocol, seed."""


def train_inputs(wildcards):
    sets = steps.train_sets(STUDY, run_of(wildcards))
    return {role: image_path(*part, wildcards.benchmark) for role, part in sets.items()}


rule train:
    input:
        unpack(train_inputs),
    output:
        model=RUN + "/model.safetensors",
        history=RUN + "/history.csv",
        cost=RUN + "/cost.csv",
    log:
        LOGS + "/train/{benchmark}/{method}/{protocol}/seed{seed}.log",
    cache: "omit-software"
    conda:
        "../envs/ood-repro.yaml"
    threads: cpu_threads
    resources:
        mem_mb=4000,
        runtime=2880,
        gpu=GPUS,
    params:
        settings=settings(steps.train_settings),
        digest=run_digest(steps.train_digest),
        hardware=hardware(resume=RESULTS + "/resume"),
    message:
        "train {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed} ({wildcards.protocol})"
    script:
        "../workflow_scripts/train.py"
