"""What a trained model says about one split, and what sits on top of its embedding."""


rule extract_features:
    "embeddings and logits of one split by one model"
    input:
        model=MODEL,
        images=images_of,
    output:
        features=FEATURES,
    log:
        "logs/extract_features/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}/{dataset}/{split}.log",
    cache: "omit-software"
    conda:
        "../envs/ood-repro.yaml"
    threads: cpu_threads
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=GPUS,
    params:
        settings=extract_settings,
        digest=by_run(digests.extract_digest),
    message:
        "extract {wildcards.dataset}/{wildcards.split} by {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/extract_features.py"


rule extract_readout:
    "classifier and prototypes of one model"
    input:
        model=MODEL,
    output:
        readout=READOUT,
    log:
        "logs/extract_readout/{benchmark}/{method}/{protocol}/seed{seed}/{evaluation}.log",
    cache: "omit-software"
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        digest=digests.readout_digest(),
    message:
        "read classifier and prototypes of {wildcards.method} on {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/extract_readout.py"


rule measure_dilation:
    "how far candidate outlier sets lie from the training set"
    input:
        unpack(dilation_inputs),
    output:
        distances=DILATION,
        provenance=f"{DILATION}.provenance.json",
    log:
        "logs/measure_dilation/{benchmark}/seed{seed}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: dilation_threads
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=GPUS,
    params:
        settings=dilation_settings,
        digest=lambda wildcards: dilation.dilation_digest(STUDY, wildcards.benchmark),
    message:
        "measure the dilation of the candidate outlier sets of {wildcards.benchmark}, seed {wildcards.seed}"
    script:
        "../workflow_scripts/measure_dilation.py"
