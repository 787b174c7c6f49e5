"""What a reading cost, and the budget that it must stay in."""

import time
from dataclasses import dataclass, field
from typing import Any

from beauty_rec.language.errors import BudgetSpent


@dataclass
class Usage:
    """Counts of one reading. Its requests and tokens may be bounded.

    ``questions`` = ``cached`` + ``repeated`` + ``given_up`` + answered + ``quarantined`` when it
    came to its end.
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    questions: int = 0
    cached: int = 0
    """Answered in an earlier run."""
    repeated: int = 0
    """The same text was asked in this run."""
    given_up: int = 0
    """Failed in as many earlier runs as a row is tried."""
    answered: int = 0
    repaired: int = 0
    """Answered at the second attempt, after a refused answer."""
    quarantined: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Without the start of a server."""
    start_seconds: float = 0.0
    """Of a server that was started for this reading."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Of quarantined rows."""

    def __post_init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def tokens_per_second(self) -> float:
        """Tokens of prompts and answers in a second of the reading."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def spend_request(self) -> None:
        """Count a request that is about to be sent.

        Raises:
            BudgetSpent: it, or the tokens so far, would go beyond the budget.
        """
        if self.max_requests is not None and self.requests >= self.max_requests:
            raise BudgetSpent(f"the budget of {self.max_requests} requests (llm.max_requests)")
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            raise BudgetSpent(f"the budget of {self.max_tokens} tokens (llm.max_tokens)")
        self.requests += 1

    def unsent(self) -> None:
        """Take a request back that reached no server."""
        self.requests -= 1

    def spend_tokens(self, prompt: int, completion: int) -> None:
        """Count the tokens of an answer."""
        self.prompt_tokens += prompt
        self.completion_tokens += completion

    def quarantine(self, reason: str) -> None:
        """Count a row without a usable answer."""
        self.quarantined += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def server_started(self, began: float) -> None:
        """Count the time since ``began`` (``time.perf_counter()``) as the server's start."""
        self.start_seconds = time.perf_counter() - began

    def stop_clock(self) -> None:
        """Set ``seconds``."""
        self.seconds = time.perf_counter() - self._started - self.start_seconds

    def metadata(self) -> dict[str, Any]:
        """Return the counts as plain values, for a materialization's metadata."""
        return {
            "questions": self.questions,
            "requests": self.requests,
            "cached": self.cached,
            "repeated_texts": self.repeated,
            "repaired": self.repaired,
            "quarantined": self.quarantined + self.given_up,
            "quarantine_reasons": self.reasons,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "tokens_per_second": round(self.tokens_per_second, 1),
            "llm_seconds": round(self.seconds, 2),
            "server_start_seconds": round(self.start_seconds, 2),
        }
