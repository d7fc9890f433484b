"""From archives to the papers' tables and figures: the named targets, one a paper among them. The rules are in rules/."""

from snakemake.utils import min_version

min_version("9.0")


report: "resources/captions/workflow.rst"


configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/features.smk"
include: "rules/scores.smk"
include: "rules/results.smk"
include: "rules/site.smk"
include: "rules/verify.smk"


rule all:
    default_target: True
    input:
        [paper_results(paper) for paper in STUDY.papers],


rule datasets:
    input:
        [*image_stores(), *(archive_path(*part) for part in weights_files())],


rule tables:
    input:
        [table_outputs(paper) for paper in STUDY.papers],


rule figures:
    input:
        [figure_outputs(paper) for paper in STUDY.papers],


for paper in STUDY.papers:

    rule:
        name:
            paper
        input:
            paper_results(paper),


require_targets(workflow, STUDY.papers)
