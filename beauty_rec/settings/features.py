"""What is read of reviews and items."""

import shlex
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from beauty_rec.settings.group import Group, located
from beauty_rec.settings.secrets import HOLDS_SECRET, fit_for_header, refuse_secret


class CorpusSettings(Group):
    """Reading, validation and the split by time."""

    max_refused_share: float = Field(
        0.05, ge=0, le=1, description="a larger share of refused rows stops the run"
    )
    train_share: float = Field(0.8, gt=0, lt=1, description="of the reviews, the earliest")
    valid_share: float = Field(
        0.1, gt=0, lt=1, description="of the reviews, the next; the rest is test"
    )
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

    @model_validator(mode="after")
    def _leave_a_test(self) -> "CorpusSettings":
        if self.train_share + self.valid_share >= 1:
            raise ValueError(
                f"train_share {self.train_share} and valid_share {self.valid_share} leave "
                "nothing for test; their sum must be below 1"
            )
        return self


class SampleSettings(Group):
    """The synthetic sample that `make run` uses when no input is given."""

    reviews: int = Field(6_000, ge=100, description="reviews that are written")
    items: int = Field(1_800, ge=20, description="items that are written")
    seed: int = Field(13, ge=0, description="of every random draw")


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
    seed: int = Field(13, description="sent with every request")
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
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="of a started server")
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs of a started server")
    max_model_len: int = Field(8_192, ge=1_024, description="tokens of prompt and answer")
    start_timeout_s: float = Field(1_800, gt=0, description="until the server is healthy")

    def answering(self) -> dict[str, str | int | None]:
        """Return what shapes an answer: all that makes artifacts of another setting stale."""
        if self.backend == "rules":
            return {"backend": self.backend}
        shaping = ("model", "seed", "max_items", "max_review_chars", "max_item_chars")
        return {"backend": self.backend, **{name: getattr(self, name) for name in shaping}}

    @field_validator("api_key", mode="before")
    @classmethod
    def _sent(cls, key: object) -> object:
        return fit_for_header(key) or None

    @field_validator("base_urls", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [url.strip() for url in value.split(",")] if isinstance(value, str) else value

    @field_validator("base_urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if "@" in url:
                raise PydanticCustomError(
                    HOLDS_SECRET, "an address holds a password; give llm.api_key instead"
                )
            refuse_secret(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{url!r} is no address such as http://127.0.0.1:8000/v1")
        return tuple(dict.fromkeys(url.rstrip("/") for url in urls))

    @field_validator("vllm_command")
    @classmethod
    def _names_the_model(cls, command: str) -> str:
        if "{model}" not in command:
            raise ValueError("must say {model} where the model's name belongs")
        refuse_secret(command)
        program, _, more = command.partition("{model}")
        try:
            named, _ = shlex.split(program), shlex.split(more)
        except ValueError:
            raise ValueError("has a quote that is not closed, or {model} within quotes") from None
        if not named or not named[0]:
            raise ValueError("must name a program before {model}")
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

    @field_validator("domain")
    @classmethod
    def _anywhere(cls, domain: str) -> str:
        return str(located(Path(domain))) if domain.endswith(".toml") else domain


class VocabularySettings(Group):
    """Ids of STD and RE values."""

    min_count: int = Field(2, ge=1, description="items that must have a value for it to get an id")
    max_re: int = Field(32, ge=1, description="RE ids of one item, most telling first")


class ItemTextSettings(Group):
    """What the retriever reads of an item."""

    max_tokens: int = Field(128, ge=16, le=8192, description="budget of the whole item text")
    max_keywords: int = Field(100, ge=0, description="keywords of an item, most telling first")
    max_reviews: int = Field(100, ge=1, description="latest reviews whose keywords an item uses")
