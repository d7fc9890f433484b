"""Evidence: what lies on the disk checked from table to archive, and a paper's results packed for other labs."""

BUNDLE_CODE = [f"workflow_scripts.verification.{name}" for name in ("bundle", "evidence", "layout")]


localrules:
    verify,


# Neither inputs nor outputs: with inputs, Snakemake would first make anew, and so repair, what is to be examined.
rule verify:
    "checks every number on the disk back to the archives; makes nothing"
    log:
        "logs/verify.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    message:
        "verify every file from tables and figures back to archives"
    script:
        "../workflow_scripts/verify.py"


# A target like those of the Snakefile, which is to stay short.
rule:
    "every paper in an archive that other labs can check"
    name:
        "bundle"
    input:
        expand(BUNDLE, paper=STUDY.papers),


rule make_bundle:
    "one paper in an archive for other labs"
    input:
        ENVIRONMENT,
        lambda wildcards: paper_outputs(asked_paper(wildcards)),
    output:
        bundle=BUNDLE,
    log:
        "logs/make_bundle/{paper}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        settings=lambda wildcards: canonical_json(packing.packed_settings(STUDY, wildcards.paper)),
        digest=lambda wildcards: digests.step_digest("make_bundle", *BUNDLE_CODE),
    message:
        "verify and pack the results of {wildcards.paper} into {output.bundle}"
    script:
        "../workflow_scripts/make_bundle.py"
