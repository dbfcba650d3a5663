# The names that this package offers and their modules: read by lazy_loader at run time, by type checkers and editors.
from .agreement.agree import agree as agree
from .ground_truth import GroundTruth as GroundTruth
from .metrics import METRICS as METRICS
from .metrics import MetricSettings as MetricSettings
from .protocol import evaluate as evaluate
from .report.figure import draw_figure as draw_figure
from .report.files import format_table as format_table
from .report.files import write_reports as write_reports
from .scored import Scored as Scored
from .scores.comparison import Comparison as Comparison
from .scores.comparison import compare_methods as compare_methods
from .scores.evaluation import Evaluation as Evaluation
from .scores.file import Settings as Settings
from .scores.file import read_scores as read_scores
from .scoring import score as score
from .study.study import analyse_study as analyse_study
from .study.study import plan_study as plan_study
