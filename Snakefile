"""From archives to the papers' tables and figures: the named targets, one a paper among them. The rules are in rules/."""


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
    "everything of all papers of config.yaml; what `snakemake` without a target makes"
    default_target: True
    input:
        [paper_results(paper) for paper in STUDY.papers],


rule report:
    "one page a paper with its tables and figures"
    input:
        expand(REPORT, paper=STUDY.papers),


rule datasets:
    "images of all papers, fetched, verified and prepared"
    input:
        [*image_stores(), *(archive_path(*part) for part in weights_files())],


rule tables:
    "tables of all papers"
    input:
        [table_outputs(paper) for paper in STUDY.papers],


rule figures:
    "figures of all papers"
    input:
        [figure_outputs(paper) for paper in STUDY.papers],


for paper in STUDY.papers:

    rule:
        "tables, figures and report of the paper of this name"
        name:
            paper
        input:
            paper_results(paper),

    workflow.get_rule(paper).docstring = f"paper: {STUDY.papers[paper]['title']}"
