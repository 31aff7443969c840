"""Results of experiments as files: pages, plots and tables; they need the extra `plots`."""

from __future__ import annotations

from perceptmetrics.reports.attributes import ATTRIBUTE_FORMS, attribute_makers
from perceptmetrics.reports.benchmark import BENCHMARK_FORMS, BENCHMARK_STEMS, benchmark_makers
from perceptmetrics.reports.compare import COMPARE_FORMS, compare_makers
from perceptmetrics.reports.correlate import CORRELATE_FORMS, correlate_makers
from perceptmetrics.reports.explain import EXPLAIN_FORMS, check_explain_output, explain_page, write_explanations
from perceptmetrics.reports.files import Makers, check_output, write_report
from perceptmetrics.reports.heads import HEADS_FORMS, heads_makers
from perceptmetrics.reports.ladder import LADDER_FORMS, ladder_makers
from perceptmetrics.reports.rank import RANK_FORMS, rank_makers
from perceptmetrics.reports.study import (
    AGREEMENT_FORMS,
    agreement_makers,
    check_study_folder,
    study_page,
    write_study,
)

__all__ = [
    "AGREEMENT_FORMS",
    "ATTRIBUTE_FORMS",
    "BENCHMARK_FORMS",
    "BENCHMARK_STEMS",
    "COMPARE_FORMS",
    "CORRELATE_FORMS",
    "EXPLAIN_FORMS",
    "HEADS_FORMS",
    "LADDER_FORMS",
    "RANK_FORMS",
    "Makers",
    "agreement_makers",
    "attribute_makers",
    "benchmark_makers",
    "check_explain_output",
    "check_output",
    "check_study_folder",
    "compare_makers",
    "correlate_makers",
    "explain_page",
    "heads_makers",
    "ladder_makers",
    "rank_makers",
    "study_page",
    "write_explanations",
    "write_report",
    "write_study",
]
