"""The papers' experiments as functions that return frozen dataclasses; knows nothing of pages, plots and printing.

`perceptmetrics.reports` turns the results into pages, plots and tables.
"""

from __future__ import annotations

from perceptmetrics.experiments.agreement import Agreement, Choice, score_study
from perceptmetrics.experiments.attributes import AttributeProfiles, attribute_profiles
from perceptmetrics.experiments.compare import Comparison, compare_folders
from perceptmetrics.experiments.correlation import Correlation, Correlations, correlate
from perceptmetrics.experiments.ladder import AttributeLadder, Ladders, climb_ladders
from perceptmetrics.experiments.method_results import MethodComparison
from perceptmetrics.experiments.methods import compare_methods
from perceptmetrics.experiments.rank import Ranking, rank_images
from perceptmetrics.experiments.ratings import Ratings, read_ratings
from perceptmetrics.experiments.scored import images_of_folder
from perceptmetrics.experiments.study import Study, StudyPair, make_study, rescore
from perceptmetrics.experiments.study_files import read_choices, read_pairs, write_pairs

__all__ = [
    "Agreement",
    "AttributeLadder",
    "AttributeProfiles",
    "Choice",
    "Comparison",
    "Correlation",
    "Correlations",
    "Ladders",
    "MethodComparison",
    "Ranking",
    "Ratings",
    "Study",
    "StudyPair",
    "attribute_profiles",
    "climb_ladders",
    "compare_folders",
    "compare_methods",
    "correlate",
    "images_of_folder",
    "make_study",
    "rank_images",
    "read_choices",
    "read_pairs",
    "read_ratings",
    "rescore",
    "score_study",
    "write_pairs",
]
