# The names that this package offers and their modules: read by lazy_loader at run time, by type checkers and editors.
from .config.recipes import load_config as load_config
from .config.train import TrainConfig as TrainConfig
from .degradation.settings import DegradationSettings as DegradationSettings
from .inference.folders import degrade as degrade
from .inference.folders import enhance as enhance
from .inference.folders import list_lr as list_lr
from .inference.folders import list_pictures as list_pictures
from .inference.folders import upscale as upscale
from .networks import build_network as build_network
from .networks.checkpoint import load_network as load_network
from .networks.checkpoint import save_network as save_network
from .push import PushSettings as PushSettings
from .push import open_push as open_push
from .runtime import open_runtime as open_runtime
from .show_map import write_map_pictures as write_map_pictures
from .training.prepare import TrainingRun as TrainingRun
from .training.trainer import train_run as train_run
