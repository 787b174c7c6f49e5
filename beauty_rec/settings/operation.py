"""Where and how the graph runs and answers, and when its checks speak up."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from beauty_rec.settings.events import EventSettings
from beauty_rec.settings.group import Group, from_anywhere, located
from beauty_rec.settings.secrets import fit_for_header, refuse_secret

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class GpuSettings(Group):
    """The GPU that heavy steps run on. What it changes in a result is not worth a rebuild."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda|cuda:\d+)$",
        description="auto: a free GPU of those visible, or the CPU where there is none",
    )
    precision: Precision = Field("auto", description="of the text encoder; auto: as encoder says")
    memory_share: float = Field(
        1.0, gt=0, le=1, description="of the GPU's memory that one step may take"
    )
    visible_devices: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="numbers of the GPUs that steps may use; none named: all"
    )
    per_step: int = Field(
        1, ge=0, le=8, description="GPUs that a step asks a cluster for; 0: a cluster of CPUs"
    )

    @field_validator("visible_devices")
    @classmethod
    def _each_once(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"has to name each GPU once, not {list(numbers)}")
        return numbers


class StorageSettings(Group):
    """Where artifacts stand when steps do not share a disk."""

    url: str | None = Field(
        None, description="local path or fsspec URL (s3://bucket/shop); unset: the data folder"
    )
    cache_gb: float = Field(
        50, gt=0, description="of fetched artifacts kept in the data folder of a worker"
    )

    _no_secret = field_validator("url")(refuse_secret)

    @field_validator("url")
    @classmethod
    def _anywhere(cls, url: str | None) -> str | None:
        if not url or "://" not in url:
            return str(located(Path(url))) if url else url
        from fsspec import available_protocols

        if (protocol := url.partition("://")[0]) not in available_protocols():
            raise ValueError(f"fsspec knows no {protocol}://; known are such as s3://, gs://")
        return url


class ExecutionSettings(Group):
    """Which executor runs the steps of a run."""

    executor: Literal["in_process", "multiprocess", "ray", "k8s"] = Field(
        "in_process", description="in_process: no start-up cost; ray, k8s: steps on a cluster"
    )
    max_concurrent: int = Field(4, ge=1, le=512, description="steps of one run side by side")
    ray_address: str | None = Field(
        None, description="of the jobs API, http://head:8265; unset: RAY_ADDRESS, or a local Ray"
    )
    worker_data_dir: str | None = Field(
        None, description="local folder of a Ray worker; unset: the same path as here"
    )
    k8s_image: str | None = Field(None, description="of step pods; unset: the run's own image")
    k8s_namespace: str | None = Field(None, description="unset: the run's own namespace")
    step_cpus: float = Field(2, gt=0, le=512, description="that a step asks a cluster for")
    step_memory_gb: float = Field(8, gt=0, le=4096, description="that a step asks a cluster for")
    retries: int = Field(3, ge=0, le=20, description="of a step that lost a connection")
    retry_seconds: float = Field(5, ge=0, le=3600, description="before the first retry, doubling")

    _no_secret = field_validator("ray_address")(refuse_secret)


class CheckSettings(Group):
    """Thresholds of the asset checks."""

    max_split_drift: float = Field(
        0.02, ge=0, le=1, description="difference of a split's share of rows to what was asked for"
    )
    min_keyword_coverage: float = Field(
        0.3, ge=0, le=1, description="share of a split's reviews with any WHO, WHEN or WHY keyword"
    )
    min_attribute_coverage: float = Field(
        0.3, ge=0, le=1, description="share of the items that the domain's words tell of"
    )
    min_pairs: int = Field(32, ge=0, description="training pairs that make fine-tuning worthwhile")
    norm_tolerance: float = Field(
        1e-3, gt=0, lt=1, description="how far a vector's length may be from 1"
    )
    max_mean_cosine: float = Field(
        0.98, gt=0, le=1, description="of different items; a larger one is a collapse"
    )
    max_table_correlation: float = Field(
        0.95, ge=0, le=1, description="of the item tower's table with its start; above, it stood"
    )
    min_purity_items: int = Field(
        50, ge=2, description="items with a category, for the tower's purity to be judged"
    )
    max_metric_drop: float = Field(
        0.1, ge=0, le=1, description="relative to the last run; a larger drop is a warning"
    )
    max_below_baseline: float = Field(
        0.05, ge=0, le=1, description="relative to the baseline; a stage further below is an error"
    )
    max_feature_skew: float = Field(
        1.0, gt=0, description="shift of a served feature's mean, in deviations of its train values"
    )
    served_warn_hours: float = Field(
        26, ge=0.05, description="age at which what is served has a badge that warns"
    )
    served_fail_hours: float = Field(
        50, ge=0.05, description="after which it is stale where no refresh found it up to date"
    )

    @model_validator(mode="after")
    def _warn_first(self) -> "CheckSettings":
        if self.served_warn_hours >= self.served_fail_hours:
            raise ValueError("served_warn_hours must be below served_fail_hours")
        return self


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


class ServeSettings(EventSettings):
    """The HTTP API and the page."""

    host: str = Field("127.0.0.1", description="another address needs an api_key")
    port: int = Field(8000, ge=0, le=65535, description="0: any free one")
    api_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="needed for writes; where host is another than this machine's own, for all but "
        "the page, /openapi.json, /healthz and /readyz",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="further names that a request may call this server by; looked at where host is "
        "this machine's own",
    )
    cors_origins: tuple[str, ...] = Field((), description="pages that may call the API; none")
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="addresses or networks (10.0.0.0/8) whose X-Forwarded-For counts; none",
    )
    max_body_bytes: int = Field(
        1_000_000, ge=1_000, le=1 << 28, description="a larger body is refused"
    )
    max_head_bytes: int = Field(
        16_384, ge=1_024, le=1 << 20, description="of a request line with its headers"
    )
    request_timeout_s: float = Field(10, gt=0, description="for an answer, and for a body to come")
    head_timeout_s: float = Field(
        10, gt=0, description="for the head of a request to come; silent connections are closed"
    )
    max_connections: int = Field(
        512, ge=1, description="open at once; keep it well below the limit of open files"
    )
    max_connections_per_client: int = Field(
        128, ge=1, description="of one address open at once; a trusted proxy may have all"
    )
    requests_per_second: float = Field(
        50,
        ge=0,
        description="of one address, with twice as many at once; large ones count as many; "
        "0: no limit",
    )
    max_batch: int = Field(16, ge=1, le=256, description="requests that are computed together")
    max_waiting: int = Field(
        256, ge=1, description="requests in the queue; beyond it 503 and when to come again"
    )
    threads: int | None = Field(None, ge=1, description="of the models; unset: torch decides")
    source_depth: int = Field(100, ge=1, le=1000, description="candidates of each source")
    diversity: float = Field(
        0, ge=0, le=1, description="maximal marginal relevance: 0 is the served order as it is"
    )
    out_of_stock: Literal["hide", "show"] = Field(
        "hide", description="items out of stock in recommendations; search shows them"
    )
    statistics: Literal["train", "now"] = Field(
        "train",
        description="events that tell the served set what sells: those of train, as the report "
        "measures it, or all until now",
    )
    sample_users: int = Field(
        0,
        ge=0,
        le=100,
        description="users whom the page offers to try, with their profiles, to whoever opens it; "
        "of the synthetic sample: 12",
    )
    rules: Path | None = Field(
        None, description="TOML file of the shop's rules, read again when it changes; unset: none"
    )
    poll_seconds: float = Field(
        2, gt=0, description="between looks at the manifest, the rules, and the experiment"
    )
    keep_sets: int = Field(
        2,
        ge=1,
        description="published sets that are kept, the latest first; those of an experiment or a "
        "rollback stay besides",
    )

    _anywhere = field_validator("rules")(from_anywhere)
    _sent = field_validator("api_key", mode="before")(fit_for_header)

    @field_validator("trusted_proxies")
    @classmethod
    def _known_networks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(name, strict=False)) for name in names)
