"""From items and users to an order: towers, item index, reranker, and how they are measured."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from beauty_rec.settings.group import Days, Group, Share, Weight, Width, folder_or_name
from beauty_rec.settings.retriever import PACKAGED_ENCODER
from beauty_rec.settings.secrets import readable_dsn

VectorType = Literal["vector", "halfvec"]


class ItemTowerSettings(Group):
    """The SimCSE item tower: its size and its training."""

    dimension: int = Field(64, ge=8, le=1024, description="of the learned part of an item vector")
    attribute_dimension: int = Field(
        96, ge=0, le=1024, description="at most, of the part that is linear in its RE values"
    )
    attribute_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="of that part in the inner product of two item vectors; unset: the best on "
        "valid of attribute_shares",
    )
    attribute_shares: tuple[Share, ...] = Field(
        (0, 0.15, 0.5, 0.85, 1), min_length=1, description="shares to choose from"
    )
    embedding: int = Field(64, ge=8, le=512, description="of an attribute value; heads divide it")
    heads: int = Field(4, ge=1, le=16, description="of the cross-attention")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of activations")
    feature_dropout: float = Field(
        0.5, ge=0, le=1, description="share of values that one view hides; the other hides the rest"
    )
    token_masking: float = Field(0.2, ge=0, lt=1, description="share of title tokens a view hides")
    title_encoder: str = Field(PACKAGED_ENCODER, description="packaged name, hub name or folder")
    max_title_tokens: int = Field(24, ge=1, le=512, description="a longer title is cut")
    event_values: bool = Field(
        False,
        description="read RE values that train events gave (context, buyers); items then look like "
        "what they will sell as, which misleads the user tower's training",
    )
    train_title_encoder: bool = Field(
        False, description="train it at a tenth of the learning rate; otherwise it is frozen"
    )
    temperature: float = Field(0.2, gt=0, description="that cosines are divided by")
    epochs: int = Field(
        5, ge=0, le=1000, description="reports on the way; each follows one pass or more"
    )
    min_steps: int = Field(
        2_000, ge=0, description="of the optimizer; few items are passed more often until then"
    )
    max_steps: int = Field(
        3_000, ge=1, description="of the optimizer; of many items each epoch draws a part"
    )
    batch_size: int = Field(128, ge=2, description="items; each is a negative of the others")
    embedding_std: float = Field(0.02, gt=0, description="scale of the table at the start")
    table_learning_rate: float = Field(1e-2, gt=0, description="of the table of attribute values")
    learning_rate: float = Field(1e-3, gt=0, description="of the rest")
    weight_decay: float = Field(1e-2, ge=0, description="of AdamW")
    purity_sample: int = Field(2_000, ge=20, description="items that the epoch's report looks at")
    collapse_cosine: float = Field(
        0.95, gt=0, le=1, description="a larger mean cosine of different items is a collapse"
    )
    seed: int = Field(13, ge=0, description="of every random draw")

    _anywhere = field_validator("title_encoder")(folder_or_name)

    @model_validator(mode="after")
    def _heads_divide(self) -> "ItemTowerSettings":
        if self.embedding % self.heads:
            raise ValueError(f"heads={self.heads} do not divide embedding={self.embedding}")
        return self


class UserTowerSettings(Group):
    """The user tower: its size, the item statistics beside it, and its training."""

    hidden: int = Field(32, ge=8, le=1024, description="width of a branch; heads divide it")
    heads: int = Field(4, ge=1, le=16, description="of the behaviour Transformer")
    layers: int = Field(1, ge=1, le=12, description="of the behaviour Transformer")
    max_history: int = Field(50, ge=1, le=512, description="latest past items that are read")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of activations")
    branch_dropout: float = Field(
        0.05, ge=0, lt=1, description="share of examples that lose a branch, for each branch"
    )
    half_lives_days: tuple[Days, ...] = Field(
        (20, 60, 180, 720),
        min_length=1,
        description="of the decayed popularity columns; the best on valid, or the nearest of "
        "ranking.half_lives_days, is that of the source popular",
    )
    context_half_lives_days: tuple[Days, ...] = Field(
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
    epochs: int = Field(3, ge=0, le=1000, description="passes over the events")
    batch_size: int = Field(256, ge=2, description="events")
    learning_rate: float = Field(1e-3, gt=0, description="of AdamW")
    weight_decay: float = Field(1e-3, ge=0, description="of AdamW")
    patience: int = Field(2, ge=1, description="epochs without a better valid Recall@candidates")
    max_valid_queries: int = Field(
        20_000, ge=1, description="drawn by the seed; fewer where there are many items"
    )
    candidates: int = Field(
        100,
        ge=1,
        description="the k of the valid Recall@k that stops the training and chooses the weights; "
        "how many items are found is ranking.depth",
    )
    text_weights: tuple[Weight, ...] = Field(
        (0, 2, 5, 10, 20, 40, 80),
        min_length=1,
        description="of the cosine of an item's text with the context; the best on valid is kept",
    )
    past_text_weights: tuple[Weight, ...] = Field(
        (0, 2, 5, 10, 20, 40, 80),
        min_length=1,
        description="of the cosine of an item's text with the history's; the best on valid is kept",
    )
    newcomer_weights: tuple[Weight, ...] = Field(
        (0, 0.5, 1, 2, 4, 8),
        min_length=1,
        description="of popularity, for users without a history; the best on valid is kept",
    )
    past_weights: tuple[Weight, ...] = Field(
        (0, 2, 5, 10, 20, 40),
        min_length=1,
        description="of the cosine with the history's tower vectors; the best on valid is kept",
    )
    seed: int = Field(13, ge=0, description="of every random draw")

    @model_validator(mode="after")
    def _heads_divide(self) -> "UserTowerSettings":
        if self.hidden % self.heads:
            raise ValueError(f"heads={self.heads} do not divide hidden={self.hidden}")
        return self


class ItemIndexSettings(Group):
    """PostgreSQL with pgvector."""

    dsn: SecretStr | None = Field(
        None, description="of a database with pgvector 0.8 or newer; unset: an embedded server"
    )
    type: VectorType = Field("vector", description="halfvec: half the memory, rounded scores")
    m: int = Field(20, ge=2, le=100, description="links of a node")
    ef_construction: int = Field(100, ge=8, le=1000, description="at least twice m")
    ef_search: int = Field(
        400,
        ge=8,
        le=1000,
        description="at least; a build doubles it, up to 1,000, until min_recall is reached",
    )
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

    _readable = field_validator("dsn")(readable_dsn)

    @model_validator(mode="after")
    def _wide_enough(self) -> "ItemIndexSettings":
        if self.ef_construction < 2 * self.m:
            raise ValueError("ef_construction must be at least twice m")
        return self


class RecommendationSettings(Group):
    """What the stages of a recommendation hand to each other."""

    context_from: Literal["context", "review_text"] = Field(
        "context", description="review_text: an event's own text stands for what is looked for"
    )
    folds: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        min_length=1,
        description="shares of train at which out-of-fold parts begin; each part's candidates "
        "come from a tower of what lies before it; parts before those that hold "
        "evaluation.train_events are left out, but for two",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "RecommendationSettings":
        if list(self.folds) != sorted(set(self.folds)):
            raise ValueError(f"folds have to ascend, not {list(self.folds)}")
        return self


class RankingSettings(Group):
    """DeepFM: features and training."""

    history_length: int = Field(
        50, ge=1, description="latest past items of a user, in answers and where they are measured"
    )
    max_user_events: int = Field(
        1_000,
        ge=100,
        description="latest events of one user that are a history, company of one another, and "
        "asks of a split: more are those of a guest checkout or a robot, whose work would grow "
        "with their square",
    )
    history_std: int = Field(8, ge=1, description="STD ids kept of a history, by count")
    history_re: int = Field(24, ge=1, description="RE ids kept of a history, by count")
    half_lives_days: tuple[Days, ...] = Field(
        (14, 30, 60, 180, 720), min_length=1, description="of an item's decayed popularity"
    )
    context_half_lives_days: tuple[Days, ...] = Field(
        (60, 365),
        min_length=1,
        description="of the same within a context; the first is that of the source popular there",
    )
    fit_half_life: float = Field(720, gt=0, description="days, of buyers in a profile's curve")
    prior_events: float = Field(5, gt=0, description="weight of the average in a shrunk share")
    neighbours: int = Field(100, ge=1, description="items kept that the same users took")
    price: bool = Field(
        False,
        description="read the catalogue's price, which is a snapshot of later: folds of train see "
        "today's",
    )
    embedding_dim: int = Field(4, ge=1, description="of a feature")
    hidden: tuple[Width, ...] = Field(
        (64, 32), min_length=1, description="widths of the hidden layers"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="share of activations")
    dense_bins: int = Field(
        0,
        ge=0,
        le=256,
        description="of each dense value, by its quantiles; each has an embedding in the "
        "factorization machine, which sees no dense value otherwise",
    )
    pooling: Literal["mean", "sum"] = Field(
        "mean", description="of the embeddings of a field with many ids"
    )
    transfer: bool = Field(
        True, description="start from what the item tower knows of the attribute values"
    )
    transfer_frozen_epochs: int = Field(
        1, ge=0, description="in which its rows stand still, and only their projection learns"
    )
    transfer_rate: float = Field(
        0.1, ge=0, le=1, description="of its learning rate to that of the rest"
    )
    ablation: bool = Field(
        True,
        description="with transfer: short trainings with and without it show what it is worth, "
        "and the better kind on valid is trained",
    )
    trial_seeds: int = Field(5, ge=1, le=99, description="of those trainings, of each kind")
    trial_epochs: int = Field(5, ge=0, le=100, description="of each of them; 0: none are made")
    gbdt: bool = Field(
        True,
        description="also train gradient-boosted trees; they are served where every simpler order "
        "is beaten on valid beyond chance",
    )
    embedding_std: float = Field(0.01, gt=0, description="scale of the embeddings at the start")
    depth: int = Field(100, ge=1, description="candidates of each source")
    negatives: int | None = Field(100, ge=1, description="of those, per train event; none: all")
    batch_size: int = Field(2048, ge=2, description="candidates; a batch holds whole events")
    learning_rate: float = Field(3e-4, gt=0, description="of AdamW")
    weight_decay: float = Field(1e-4, ge=0, description="of AdamW")
    epochs: int = Field(30, ge=0, description="passes over the examples, at most")
    patience: int = Field(3, ge=1, description="epochs without a lower valid log loss")
    seed: int = Field(13, ge=0, description="of every random draw")


class ListSettings(Group):
    """Lists of all users, for mails and caches."""

    enabled: bool = Field(
        False,
        description="make them: at 112,590 items a thousand users take two seconds on two cores; "
        "off: an empty table",
    )
    k: int = Field(10, ge=1, le=100, description="items of a user")
    chunk: int = Field(
        1_000,
        ge=1,
        le=100_000,
        description="users of each file that a killed run goes on from",
    )


class EvaluationSettings(Group):
    """The protocol of the measurements."""

    min_query_chars: int = Field(20, ge=1, description="a shorter text is no query")
    max_queries: int = Field(20_000, ge=1, description="per split, drawn by a fixed seed")
    train_events: int = Field(
        30_000, ge=1, description="out-of-fold events of train, from which the reranker learns"
    )
    train_queries: int = Field(1_000, ge=1, description="of train, to see overfitting")
    keyword_queries: int = Field(
        500, ge=1, description="per split, asked in keywords: a second look, for which some will do"
    )
    bootstrap_samples: int = Field(1_000, ge=100, description="of the intervals")
    seed: int = Field(13, ge=0, description="of every random draw but those of the tests")
