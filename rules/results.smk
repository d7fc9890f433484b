"""Tables, figures and the report of every paper."""


def table_entry(wildcards):
    return STUDY.papers[wildcards.paper]["tables"][wildcards.name]


def figure_entry(wildcards):
    return STUDY.papers[wildcards.paper]["figures"][wildcards.name]


def table_inputs(wildcards):
    entry = table_entry(wildcards)
    pattern = RUN + "/cost.csv" if entry["kind"] == "cost" else EVALUATION + "/metrics.csv"
    return [run_path(pattern, run) for run in outputs.table_runs(STUDY, entry)]


def figure_inputs(wildcards):
    return [figure_source(source, run) for source, run in outputs.figure_sources(STUDY, figure_entry(wildcards))]


def figure_source(source, run):
    if source["needs"] == "history":
        return run_path(RUN + "/history.csv", run)
    pattern = {"scores": SCORES, "features": FEATURES}[source["needs"]]
    return run_path(pattern, run, dataset=source["dataset"], split=source["split"])


def benchmark_label(wildcards, kind):
    return STUDY.benchmarks[STUDY.papers[wildcards.paper][kind][wildcards.name]["benchmark"]]["title"]


rule make_table:
    input:
        runs=table_inputs,
    output:
        csv=report(
            PAPER + "/tables/{name}.csv",
            caption="../resources/captions/table.rst",
            category="Tables",
            subcategory="{paper}",
            labels=lambda wildcards: {"benchmark": benchmark_label(wildcards, "tables"), "table": wildcards.name},
        ),
        md=PAPER + "/tables/{name}.md",
        tex=PAPER + "/tables/{name}.tex",
        provenance=PAPER + "/tables/{name}.csv.provenance.json",
    log:
        LOGS + "/make_table/{paper}/{name}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        settings=lambda wildcards: canonical_json(outputs.table_settings(STUDY, table_entry(wildcards))),
        digest=steps.digest("methods.reporting.tables", "methods.reporting.layout"),
    message:
        "table {wildcards.name} of {wildcards.paper}"
    script:
        "../workflow_scripts/make_table.py"


rule make_figure:
    input:
        files=figure_inputs,
    output:
        svg=report(
            PAPER + "/figures/{name}.svg",
            caption="../resources/captions/figure.rst",
            category="Figures",
            subcategory="{paper}",
            labels=lambda wildcards: {"benchmark": benchmark_label(wildcards, "figures"), "figure": wildcards.name},
        ),
        pdf=PAPER + "/figures/{name}.pdf",
        provenance=PAPER + "/figures/{name}.svg.provenance.json",
    log:
        LOGS + "/make_figure/{paper}/{name}.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: canonical_json(outputs.figure_settings(STUDY, figure_entry(wildcards))),
        digest=lambda wildcards: steps.digest("methods.reporting.figures." + figure_entry(wildcards)["kind"]),
    message:
        "figure {wildcards.name} of {wildcards.paper}"
    script:
        "../workflow_scripts/make_figure.py"


rule environment:
    input:
        workflow.source_path("../requirements.txt"),
    output:
        csv=report(
            RESULTS + "/environment.csv",
            caption="../resources/captions/environment.rst",
            category="Environment",
            labels={"benchmark": "all", "table": "environment"},
        ),
    log:
        LOGS + "/environment.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    message:
        "list versions and hardware"
    script:
        "../workflow_scripts/environment.py"


rule report:
    input:
        RESULTS + "/environment.csv",
        [paper_outputs(paper) for paper in STUDY.papers],
    output:
        html=REPORT,
    log:
        LOGS + "/report.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        call=lambda wildcards, input: canonical_json({"snakefile": workflow.main_snakefile, "config": STUDY.config}),
    message:
        "report in {output.html}"
    script:
        "../workflow_scripts/report.py"
