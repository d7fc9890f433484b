"""Source files, verified, and one store of images a split."""


def archive_record(wildcards):
    return canonical_json(file_record(STUDY.catalog, wildcards.dataset, wildcards.file))


def archives_of(wildcards):
    files = source_files(STUDY.catalog, wildcards.dataset)
    return [ARCHIVE.format(dataset=owner, file=name) for name, owner in files.items()]


def prepare_settings(wildcards):
    size, resize = wildcards.render.split("px-")
    render = {"size": int(size), "resize": resize}
    return canonical_json(steps.prepare_settings(STUDY, wildcards.dataset, wildcards.split, render))


rule fetch_archive:
    output:
        archive=ARCHIVE,
    log:
        LOGS + "/fetch_archive/{dataset}/{file}.log",
    cache: "omit-software"
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=720,
    params:
        file=archive_record,
    retries: 2
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
        LOGS + "/prepare_images/{dataset}/{split}@{render}.log",
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
