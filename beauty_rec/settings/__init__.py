"""All settings: paths, profile, backends and hyper-parameters; one file a part of the pipeline."""

from beauty_rec.settings.alerts import AlertSettings
from beauty_rec.settings.environment import (
    child_environment,
    debugging,
    let_threads_sleep,
    offline,
    records_in_postgres,
    secret_variables,
    visible_gpus,
)
from beauty_rec.settings.events import EventSettings, EventType
from beauty_rec.settings.features import (
    AttributeSettings,
    CorpusSettings,
    ItemTextSettings,
    KeywordSettings,
    LanguageSettings,
    SampleSettings,
    VocabularySettings,
)
from beauty_rec.settings.group import Group
from beauty_rec.settings.memory import memory_of, memory_stamp, read_remembered
from beauty_rec.settings.operation import (
    CheckSettings,
    ExecutionSettings,
    GpuSettings,
    ScheduleSettings,
    ServeSettings,
    StorageSettings,
)
from beauty_rec.settings.recommender import (
    EvaluationSettings,
    ItemIndexSettings,
    ItemTowerSettings,
    RankingSettings,
    RecommendationSettings,
    UserTowerSettings,
    VectorType,
)
from beauty_rec.settings.retriever import (
    PACKAGED_ENCODER,
    EncoderSettings,
    FineTuneSettings,
    PairSettings,
    TextIndexSettings,
)
from beauty_rec.settings.secrets import (
    HOLDS_SECRET,
    holds_secret,
    is_secret_name,
    readable_dsn,
    redacted,
    refuse_secret,
)
from beauty_rec.settings.settings import (
    SAMPLE_FILES,
    SPLITS,
    Measure,
    Profile,
    Settings,
    Split,
    Train,
)
from beauty_rec.settings.watching import MlflowSettings, TraceSettings

__all__ = [
    "HOLDS_SECRET",
    "PACKAGED_ENCODER",
    "SAMPLE_FILES",
    "SPLITS",
    "AlertSettings",
    "AttributeSettings",
    "CheckSettings",
    "CorpusSettings",
    "EncoderSettings",
    "EvaluationSettings",
    "EventSettings",
    "EventType",
    "ExecutionSettings",
    "FineTuneSettings",
    "GpuSettings",
    "Group",
    "ItemIndexSettings",
    "ItemTextSettings",
    "ItemTowerSettings",
    "KeywordSettings",
    "LanguageSettings",
    "Measure",
    "MlflowSettings",
    "PairSettings",
    "Profile",
    "RankingSettings",
    "RecommendationSettings",
    "SampleSettings",
    "ScheduleSettings",
    "ServeSettings",
    "Settings",
    "Split",
    "StorageSettings",
    "TextIndexSettings",
    "TraceSettings",
    "Train",
    "UserTowerSettings",
    "VectorType",
    "VocabularySettings",
    "child_environment",
    "debugging",
    "holds_secret",
    "is_secret_name",
    "let_threads_sleep",
    "memory_of",
    "memory_stamp",
    "offline",
    "read_remembered",
    "readable_dsn",
    "records_in_postgres",
    "redacted",
    "refuse_secret",
    "secret_variables",
    "visible_gpus",
]
