"""Write results as pages, plots and tables; knows finished results, not how they are computed.

Needs the extra `plots`.
"""

from __future__ import annotations

from perceptmetrics.reports.attributes import ATTRIBUTE_FORMATS, attribute_makers
from perceptmetrics.reports.benchmark import BENCHMARK_FORMATS, BENCHMARK_STEMS, benchmark_makers
from perceptmetrics.reports.compare import COMPARE_FORMATS, compare_makers
from perceptmetrics.reports.correlate import CORRELATE_FORMATS, correlate_makers
from perceptmetrics.reports.explain import EXPLAIN_FORMATS, check_explain_output, explain_page, write_explanations
from perceptmetrics.reports.files import Makers, check_output, write_report
from perceptmetrics.reports.heads import HEADS_FORMATS, heads_makers
from perceptmetrics.reports.ladder import LADDER_FORMATS, ladder_makers
from perceptmetrics.reports.methods import (
    METHODS_FORMATS,
    comparison_page,
    folder_names,
    methods_makers,
    methods_sentence,
)
from perceptmetrics.reports.rank import RANK_FORMATS, rank_makers
from perceptmetrics.reports.study import (
    AGREEMENT_FORMATS,
    agreement_makers,
    check_study_folder,
    study_page,
    write_study,
)

__all__ = [
    "AGREEMENT_FORMATS",
    "ATTRIBUTE_FORMATS",
    "BENCHMARK_FORMATS",
    "BENCHMARK_STEMS",
    "COMPARE_FORMATS",
    "CORRELATE_FORMATS",
    "EXPLAIN_FORMATS",
    "HEADS_FORMATS",
    "LADDER_FORMATS",
    "METHODS_FORMATS",
    "RANK_FORMATS",
    "Makers",
    "agreement_makers",
    "attribute_makers",
    "benchmark_makers",
    "check_explain_output",
    "check_output",
    "check_study_folder",
    "compare_makers",
    "comparison_page",
    "correlate_makers",
    "explain_page",
    "folder_names",
    "heads_makers",
    "ladder_makers",
    "methods_makers",
    "methods_sentence",
    "rank_makers",
    "study_page",
    "write_explanations",
    "write_report",
    "write_study",
]
