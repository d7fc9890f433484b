"""The science: data, networks, objectives, training, features, scores, metrics, reporting.

Nothing in here knows Snakemake or where results lie.
"""
