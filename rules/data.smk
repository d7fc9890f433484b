"""Source files, verified, and one store of images a split."""


rule fetch_archive:
    output:
        archive=ARCHIVE,
    log:
        "logs/fetch_archive/{dataset}/{file}.log",
    cache: "omit-software"
    retries: 2
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=720,
    params:
        file=archive_record,
    message:
        "fetch {wildcards.file} of {wildcards.dataset} and verify it"
    script:
        "../workflow_scripts/fetch_archive.py"


rule prepare_images:
    input:
        archives=archives_of,
    output:
        images=IMAGES,
    log:
        "logs/prepare_images/{dataset}/{split}@{render}.log",
    cache: "omit-software"
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        settings=prepare_settings,
        digest=lambda wildcards: steps.prepare_digest(STUDY, wildcards.dataset),
    message:
        "prepare {wildcards.dataset}/{wildcards.split} at {wildcards.render}"
    script:
        "../workflow_scripts/prepare_images.py"
