"""The scoring half of hggt: restored images against every ground truth that people judged better than the original.

Example:
    >>> from hggt_eval import METRICS, MetricSettings, evaluate, match_restored, name_methods
    >>> METRICS["psnr"].load(MetricSettings(border=4)).min_side_px
    1
"""

from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import Method, name_methods, read_methods
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.protocol import evaluate
from hggt_eval.report.files import format_table, write_reports
from hggt_eval.scores.comparison import Comparison, compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings, read_scores
from hggt_eval.scoring import GroundTruth, Scored, score

__all__ = [
    "METRICS",
    "Comparison",
    "Evaluation",
    "GroundTruth",
    "Method",
    "MetricSettings",
    "Scored",
    "Settings",
    "compare_methods",
    "evaluate",
    "format_table",
    "match_restored",
    "name_methods",
    "read_methods",
    "read_scores",
    "score",
    "write_reports",
]
