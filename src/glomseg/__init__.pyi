from ._version import __version__ as __version__
from .box import box_model as box_model
from .config import Settings as Settings
from .data.dataset import infer_classes as infer_classes, open_dataset as open_dataset
from .data.folds import sites_of as sites_of
from .data.lint import Finding as Finding, lint as lint
from .data.slide_dataset import open_slides as open_slides
from .data.split import (
    make_folds as make_folds,
    make_split as make_split,
    read_split as read_split,
    write_mmseg_lists as write_mmseg_lists,
    write_split as write_split,
)
from .data.statistics import TileStatistics as TileStatistics, scan_masks as scan_masks
from .data.synthetic import (
    draw_tile as draw_tile,
    write_synthetic_dataset as write_synthetic_dataset,
    write_synthetic_slide as write_synthetic_slide,
)
from .errors import (
    DownloadError as DownloadError,
    GlomsegError as GlomsegError,
    InvalidInputError as InvalidInputError,
    MissingInputError as MissingInputError,
    NonFiniteLossError as NonFiniteLossError,
    OutputError as OutputError,
    UnsafeFileError as UnsafeFileError,
)
from .export.pictures import error_map as error_map, overlay as overlay, sheet as sheet, side_by_side as side_by_side
from .export.pyramid import write_pyramid as write_pyramid
from .export.plots import save_confusion_matrix as save_confusion_matrix
from .export.qupath import write_geojson as write_geojson
from .images import read_image as read_image, read_mask as read_mask, write_png as write_png
from .inference.predictor import Predictor as Predictor
from .inference.engines.agreement import Agreement as Agreement
from .inference.loading import load_predictor as load_predictor
from .measure import (
    Component as Component,
    Glomerulus as Glomerulus,
    ObjectSettings as ObjectSettings,
    SlideSummary as SlideSummary,
    connected_components as connected_components,
    measure_glomeruli as measure_glomeruli,
    summarize_glomeruli as summarize_glomeruli,
)
from .memory import keep_freed_memory as keep_freed_memory
from .metrics.boundary import (
    BoundaryCounts as BoundaryCounts,
    boundary_distances as boundary_distances,
    boundary_figures as boundary_figures,
    count_boundaries as count_boundaries,
    hausdorff_95 as hausdorff_95,
)
from .metrics.calibration import (
    CalibrationCounts as CalibrationCounts,
    calibration_figures as calibration_figures,
    count_calibration as count_calibration,
)
from .metrics.calibration_evaluation import (
    CalibrationEvaluation as CalibrationEvaluation,
    evaluate_calibration as evaluate_calibration,
)
from .metrics.comparison import Difference as Difference, compare_counts as compare_counts
from .metrics.doubt import DoubtFigure as DoubtFigure, rank_correlation as rank_correlation, separation as separation
from .metrics.evaluation import Evaluation as Evaluation, evaluate_counts as evaluate_counts
from .metrics.intervals import Interval as Interval, group_intervals as group_intervals
from .metrics.matching import Matching as Matching, label_objects as label_objects, match_objects as match_objects
from .metrics.objects import (
    ObjectCounts as ObjectCounts,
    count_objects as count_objects,
    object_figures as object_figures,
)
from .metrics.pixel_intervals import PixelIntervals as PixelIntervals, pixel_intervals as pixel_intervals
from .metrics.pixels import (
    PixelCounts as PixelCounts,
    PixelMetrics as PixelMetrics,
    count_pixels as count_pixels,
    pixel_metrics as pixel_metrics,
)
from .metrics.temperature import fit_temperature as fit_temperature, with_temperature as with_temperature
from .models.build import ARCHITECTURES as ARCHITECTURES, build_model as build_model
from .models.known_weights import KNOWN_WEIGHTS as KNOWN_WEIGHTS, fetch_weights as fetch_weights
from .models.model_files import load_model as load_model, read_card as read_card, save_model as save_model
from .recipes import load_recipe as load_recipe, recipe_names as recipe_names
from .slides.annotation_record import Annotation as Annotation
from .slides.annotations import read_annotations as read_annotations
from .slides.opening import open_slide as open_slide
from .slides.rasterize import rasterize as rasterize
from .slides.slide import Slide as Slide
from .slides.tissue import Tissue as Tissue, find_tissue as find_tissue
from .stain import (
    MacenkoLook as MacenkoLook,
    ReinhardLook as ReinhardLook,
    look_of as look_of,
    normalise as normalise,
)
from .steps.benchmark import (
    BenchmarkResult as BenchmarkResult,
    EngineTiming as EngineTiming,
    benchmark_model as benchmark_model,
)
from .steps.calibrate import CalibrationResult as CalibrationResult, calibrate_model as calibrate_model
from .steps.compare import (
    Comparison as Comparison,
    ComparisonResult as ComparisonResult,
    compare_evaluations as compare_evaluations,
)
from .steps.crossval import (
    CrossvalResult as CrossvalResult,
    cross_validate as cross_validate,
    resume_crossval as resume_crossval,
)
from .steps.describe_slides import (
    SlideDescription as SlideDescription,
    SlidesResult as SlidesResult,
    describe_slides as describe_slides,
)
from .steps.doctor import Check as Check, check_machine as check_machine
from .steps.evaluate import EvaluationResult as EvaluationResult, evaluate_model as evaluate_model
from .steps.openmmlab.explaining import Explanation as Explanation, explain_config as explain_config
from .steps.export_model import ExportResult as ExportResult, export_model as export_model
from .steps.import_model import ImportResult as ImportResult, import_model as import_model
from .steps.inspect import Inspection as Inspection, inspect_dataset as inspect_dataset
from .steps.measure import MeasureResult as MeasureResult, measure_masks as measure_masks
from .steps.predict import PredictionResult as PredictionResult, predict_images as predict_images
from .steps.predict_slides import (
    PredictedSlide as PredictedSlide,
    SlideSettings as SlideSettings,
    PredictedSlides as PredictedSlides,
    predict_slides as predict_slides,
)
from .steps.rasterize import RasterizeResult as RasterizeResult, rasterize_annotations as rasterize_annotations
from .steps.report import ReportResult as ReportResult, write_report as write_report
from .steps.train import (
    TrainResult as TrainResult,
    repeat_training as repeat_training,
    resume_training as resume_training,
    train_model as train_model,
)
from .training.hardware import Hardware as Hardware
from .steps.openmmlab.training import (
    TrainingConfig as TrainingConfig,
    read_training_config as read_training_config,
)
from .steps.write_tiles import TileSet as TileSet, write_tiles as write_tiles
from .types import (
    GLOMERULUS as GLOMERULUS,
    Classes as Classes,
    DataSource as DataSource,
    Dataset as Dataset,
    Inference as Inference,
    ModelCard as ModelCard,
    Prediction as Prediction,
    Publication as Publication,
    Region as Region,
    Sample as Sample,
    Scaling as Scaling,
    Split as Split,
    TestTimeAugmentation as TestTimeAugmentation,
)
