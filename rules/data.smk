"""Source files, verified, and one store of images a split."""


rule fetch_archive:
    "one source file, downloaded or taken from a folder, verified"
    output:
        archive=ARCHIVE,
    log:
        "logs/fetch_archive/{dataset}/{file}.log",
    cache: "omit-software"
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=1440,
    params:
        file=archive_record,
        title=lambda wildcards: downloads.describe(asked_file(wildcards)),
    message:
        "fetch {params.title} of {wildcards.dataset} and verify it, progress in {log}"
    script:
        "../workflow_scripts/fetch_archive.py"


rule verify_source:
    "one split found in a folder of data.sources, verified"
    output:
        manifest=SOURCE,
    log:
        "logs/verify_source/{dataset}/{split}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        settings=source_settings,
    message:
        "verify {wildcards.dataset}/{wildcards.split} in a folder of yours"
    script:
        "../workflow_scripts/verify_source.py"


rule prepare_images:
    "the images of one split at one size, as one file"
    input:
        unpack(files_of),
    output:
        images=IMAGES,
    log:
        "logs/prepare_images/{dataset}/{split}@{render}.log",
    cache: "omit-software"
    priority: 1  # before extraction, which makes all sets that are there in one process
    conda:
        "../envs/ood-repro.yaml"
    # Half of a small machine: a job that wants it whole waits until no training of one core is left, and all with it
    threads: min(4, max(1, (workflow.resource_settings.cores or 8) // 2))  # on a cluster nobody says how many there are
    resources:
        mem_mb=4000,
        runtime=480,
    params:
        settings=prepare_settings,
        digest=lambda wildcards: digests.prepare_digest(STUDY, wildcards.dataset, wildcards.split),
    message:
        "prepare {wildcards.dataset}/{wildcards.split} at {wildcards.render}"
    script:
        "../workflow_scripts/prepare_images.py"
