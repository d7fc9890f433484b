"""A static site of all papers' results."""

from methods.settings import site

# Where the site finds what it shows, and the records of what lies behind it
SITE_PATTERNS = {
    "metrics": METRICS,
    "cost": COST,
    "tuned": TUNED,
    "detectors": DETECTORS,
    "readout": READOUT,
    "model": MODEL,
    "scores": SCORES,
    "network_scores": NETWORK_SCORES,
    "features": FEATURES,
    "images": IMAGES,
    "table": TABLE,
    "figure": FIGURE,
}


rule:
    "all results as pages for a browser that need no server"
    name:
        "site"
    input:
        f"{SITE}/index.html",


rule make_site:
    "the pages behind `site`"
    input:
        metrics=[run_path(METRICS, run) for run in site.site_runs(STUDY)],
        costs=[run_path(COST, run) for run in site.site_runs(STUDY)],
        tables=[table_outputs(paper) for paper in STUDY.papers],
        figures=[figure_outputs(paper) for paper in STUDY.papers],
    output:
        index=f"{SITE}/index.html",
    log:
        "logs/make_site.log",
    conda:
        "../envs/ood-repro.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=lambda wildcards: canonical_json(site.site_settings(STUDY)),
        digest=lambda wildcards: site.site_digest(),
        patterns=lambda wildcards: canonical_json(SITE_PATTERNS),
    message:
        "site in {output.index}"
    script:
        "../workflow_scripts/make_site.py"
