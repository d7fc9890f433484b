"""Tables, figures and the report of every paper."""


report: "../resources/captions/workflow.rst"


rule make_table:
    "one table as csv, md, tex and html"
    input:
        runs=table_inputs,
    output:
        html=report(
            f"{TABLE}.html",
            caption="../resources/captions/table.rst",
            category="Tables",
            subcategory="{paper}",
            labels=lambda wildcards: {"benchmark": benchmark_label(wildcards, "tables"), "table": wildcards.name},
        ),
        csv=f"{TABLE}.csv",
        md=f"{TABLE}.md",
        tex=f"{TABLE}.tex",
        provenance=report(
            f"{TABLE}.csv.provenance.json",
            caption="../resources/captions/provenance.rst",
            category="Provenance",
            subcategory="tables of {paper}",
            labels=lambda wildcards: {"benchmark": benchmark_label(wildcards, "tables"), "table": wildcards.name},
        ),
    log:
        "logs/make_table/{paper}/{name}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        settings=lambda wildcards: canonical_json(
            outputs.table_settings(STUDY, wildcards.paper, table_entry(wildcards))
        ),
        caption=lambda wildcards: table_entry(wildcards)["caption"],
        digest=lambda wildcards: digests.table_digest(table_entry(wildcards)),
    message:
        "table {wildcards.name} of {wildcards.paper}"
    script:
        "../workflow_scripts/make_table.py"


rule make_figure:
    "one figure as svg and pdf"
    input:
        files=figure_inputs,
    output:
        svg=report(
            f"{FIGURE}.svg",
            caption="../resources/captions/figure.rst",
            category="Figures",
            subcategory="{paper}",
            labels=lambda wildcards: {
                "benchmark": benchmark_label(wildcards, "figures"),
                "figure": wildcards.name,
            },
        ),
        pdf=f"{FIGURE}.pdf",
        provenance=report(
            f"{FIGURE}.svg.provenance.json",
            caption="../resources/captions/provenance.rst",
            category="Provenance",
            subcategory="figures of {paper}",
            labels=lambda wildcards: {"benchmark": benchmark_label(wildcards, "figures"), "figure": wildcards.name},
        ),
    log:
        "logs/make_figure/{paper}/{name}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: canonical_json(
            outputs.figure_settings(STUDY, wildcards.paper, figure_entry(wildcards))
        ),
        caption=lambda wildcards: outputs.figure_caption(STUDY, figure_entry(wildcards)),
        digest=lambda wildcards: digests.figure_digest(figure_entry(wildcards)),
    message:
        "figure {wildcards.name} of {wildcards.paper}"
    script:
        "../workflow_scripts/make_figure.py"


rule environment:
    "versions of packages and hardware of this machine"
    output:
        csv=report(
            ENVIRONMENT,
            caption="../resources/captions/environment.rst",
            category="Environment",
            labels={"benchmark": "all", "table": "environment"},
        ),
    log:
        "logs/environment.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        requirements=sha256_file(f"{workflow.basedir}/requirements.txt"),
        digest=digests.step_digest("environment"),
    message:
        "list versions and hardware"
    script:
        "../workflow_scripts/environment.py"


rule make_report:
    "the report of one paper, a page for the browser"
    input:
        ENVIRONMENT,
        lambda wildcards: paper_outputs(asked_paper(wildcards)),
    output:
        html=REPORT,
    log:
        "logs/make_report/{paper}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        snakefile=lambda wildcards, input: workflow.main_snakefile,
        digest=digests.step_digest("make_report"),
    message:
        "report in {output.html}"
    script:
        "../workflow_scripts/make_report.py"
