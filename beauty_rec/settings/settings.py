"""All settings: paths, profile, backends and hyper-parameters.

The only module that reads environment variables. A value is taken from, in this order: what the
caller passes, ``BEAUTY_REC_*`` variables (``BEAUTY_REC_FINE_TUNE__EPOCHS=3``), the
``settings.json`` of the data folder (what the last run was given), the presets of the synthetic
sample where no reviews were named, the profile's presets, and the defaults written here.

>>> Settings(profile="full").encoder.model
'BAAI/bge-m3'
"""

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from beauty_rec.settings.alerts import AlertSettings
from beauty_rec.settings.environment import PREFIX, Variables, misspelt_variable, variable_of
from beauty_rec.settings.features import (
    AttributeSettings,
    CorpusSettings,
    ItemTextSettings,
    KeywordSettings,
    LanguageSettings,
    SampleSettings,
    VocabularySettings,
)
from beauty_rec.settings.group import Group, from_anywhere
from beauty_rec.settings.memory import UNKEPT, memory_of, read_remembered
from beauty_rec.settings.operation import (
    CheckSettings,
    ExecutionSettings,
    GpuSettings,
    ScheduleSettings,
    ServeSettings,
    StorageSettings,
)
from beauty_rec.settings.presets import presets_of
from beauty_rec.settings.recommender import (
    EvaluationSettings,
    ItemIndexSettings,
    ItemTowerSettings,
    ListSettings,
    RankingSettings,
    RecommendationSettings,
    UserTowerSettings,
)
from beauty_rec.settings.retriever import (
    EncoderSettings,
    FineTuneSettings,
    PairSettings,
    TextIndexSettings,
)
from beauty_rec.settings.secrets import know, without_secrets
from beauty_rec.settings.shops import ShopsSettings
from beauty_rec.settings.watching import MlflowSettings, TraceSettings

Profile = Literal["sample", "full"]
Split = Literal["train", "valid", "test"]
Train = Literal["never", "stale", "always"]
"""Which models a refresh trains: none whose data alone changed, those, or all."""
Measure = Literal["never", "stale"]
"""Whether a refresh asks the events of the splits anew where only the data changed."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

SAMPLE_FILES = {
    "reviews": "reviews.jsonl.gz",
    "items": "meta.jsonl.gz",
    "profiles": "profiles.jsonl.gz",
}


class Settings(BaseSettings):
    """Everything a run was given. ``data_dir`` is made absolute."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,  # compose hands on what is not set as an empty text
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(Path("data"), description="where everything is kept")
    profile: Profile = Field(
        "sample", description="presets: sample (packaged encoder, CPU), full (BGE-M3, GPU)"
    )
    reviews: Path | None = Field(None, description=".jsonl, .jsonl.gz or .parquet")
    items: Path | None = Field(
        None, description="item metadata, same formats; none: known by their reviews alone"
    )
    profiles: Path | None = Field(None, description="user profiles, same formats")

    hidden_items: Path | None = Field(
        None, description="items that are never shown, and still learned from: ids, one a line"
    )
    docs_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="where the site of `make docs` stands, for links on Dagster's pages",
    )

    sample: SampleSettings = SampleSettings()
    corpus: CorpusSettings = CorpusSettings()
    llm: LanguageSettings = LanguageSettings()
    keywords: KeywordSettings = KeywordSettings()
    attributes: AttributeSettings = AttributeSettings()
    vocabulary: VocabularySettings = VocabularySettings()
    item_text: ItemTextSettings = ItemTextSettings()
    encoder: EncoderSettings = EncoderSettings()
    pairs: PairSettings = PairSettings()
    fine_tune: FineTuneSettings = FineTuneSettings()
    text_index: TextIndexSettings = TextIndexSettings()
    ranking: RankingSettings = RankingSettings()
    item_tower: ItemTowerSettings = ItemTowerSettings()
    user_tower: UserTowerSettings = UserTowerSettings()
    recommendation: RecommendationSettings = RecommendationSettings()
    item_index: ItemIndexSettings = ItemIndexSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    lists: ListSettings = ListSettings()
    serve: ServeSettings = ServeSettings()
    shops: ShopsSettings = ShopsSettings()
    gpu: GpuSettings = GpuSettings()
    storage: StorageSettings = StorageSettings()
    execution: ExecutionSettings = ExecutionSettings()
    checks: CheckSettings = CheckSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    alerts: AlertSettings = AlertSettings()
    traces: TraceSettings = TraceSettings()
    mlflow: MlflowSettings = MlflowSettings()

    _anywhere = field_validator("reviews", "items", "profiles", "hidden_items")(from_anywhere)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the data folder's memory and the profile's presets below the environment."""
        known = {n: getattr(f.annotation, "model_fields", ()) for n, f in cls.model_fields.items()}
        if fault := misspelt_variable(known):
            raise ValueError(fault)
        env_settings = Variables(settings_cls)
        try:
            given = {**env_settings(), **init_settings()}
        except SettingsError as error:
            found = re.search(r'field "(\w+)"', str(error))
            name = variable_of(found[1], str(error.__cause__)).upper() if found else "of a setting"
            raise ValueError(f"the variable {name} holds no JSON; mend or unset it") from None
        data_dir = memory_of(given).parent
        remembered = read_remembered(data_dir)
        profile = given.get("profile") or remembered.get("profile") or "sample"
        synthetic = not given.get("reviews", remembered.get("reviews"))
        return (
            InitSettingsSource(settings_cls, {"data_dir": data_dir}),
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, remembered),
            InitSettingsSource(settings_cls, presets_of(str(profile), synthetic=synthetic)),
        )

    def model_post_init(self, context: Any) -> None:
        """Have every error and log hide these secrets."""
        alerts = self.alerts
        for secret in (
            *(self.item_index.dsn, self.llm.api_key, self.serve.api_key),
            *(alerts.webhook_url, alerts.smtp_password),
            *self.shops.keys.values(),
        ):
            know(secret)

    @property
    def inputs(self) -> dict[str, Path | None]:
        """The raw files by kind; the synthetic sample's when no reviews were named."""
        if self.reviews is None:
            files = {name: self.sample_dir / file for name, file in SAMPLE_FILES.items()}
            return {**files, "hidden_items": self.hidden_items}
        return {
            "reviews": self.reviews,
            "items": self.items,
            "profiles": self.profiles,
            "hidden_items": self.hidden_items,
        }

    @property
    def reads_texts(self) -> bool:
        """Whether an event's own text stands for its context: the towers read free texts then."""
        return self.recommendation.context_from == "review_text"

    @property
    def sample_dir(self) -> Path:
        """Where the synthetic sample stands when no reviews were named."""
        return self.data_dir / "raw" / "sample"

    @property
    def language_dir(self) -> Path:
        """Where the language model's answers are kept."""
        return self.data_dir / "language"

    @property
    def memory_path(self) -> Path:
        """Where what a run was given is kept, for the UI and later commands."""
        return self.data_dir / "settings.json"

    def environment(self) -> dict[str, str]:
        """Return the variables by which a process elsewhere gets these settings.

        Secrets are left out, alerts, which the daemon sends, and folders of data, which are a
        matter of the machine.
        """
        told = self._told()
        for group, values in told.items():
            if isinstance(values, dict):
                kept = getattr(self, group)
                for name in [n for n in values if isinstance(getattr(kept, n), SecretStr)]:
                    del values[name]
        return {
            f"BEAUTY_REC_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in told.items()
            if value != {} and name not in {"data_dir", "alerts", "shops"}
        }

    def remembered(self) -> str:
        """Return what was chosen, as JSON for :attr:`memory_path`; no presets, which may change.

        A DSN is kept without its passwords: later commands take that from ``PGPASSWORD``, from
        ``~/.pgpass`` or from their own settings, and fail without it. API keys and other secrets
        are not kept: they are to be in the environment.
        """
        told = self._told()
        for name in ("data_dir", "shops"):  # which are of a server, not of this folder
            told.pop(name, None)
        for group, name in UNKEPT:
            told.get(group, {}).pop(name, None)
        if self.item_index.dsn is not None:
            told["item_index"]["dsn"] = without_secrets(self.item_index.dsn.get_secret_value())
        kept = {name: value for name, value in told.items() if value != {}}
        return json.dumps(kept, indent=2) + "\n"

    def _told(self) -> dict[str, Any]:
        """Return what differs from the presets and the defaults, in values of JSON."""
        presets = presets_of(self.profile, synthetic=self.reviews is None)
        told = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            own = getattr(self, name)
            if isinstance(own, Group):
                usual = type(own)(**presets.get(name, {})).model_dump(mode="json")
                told[name] = {n: value for n, value in told[name].items() if value != usual[n]}
            elif own == field.default:
                del told[name]
        return told
