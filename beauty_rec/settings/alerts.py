"""Who hears of faults, and of which."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from beauty_rec.settings.group import Group
from beauty_rec.settings.secrets import fit_for_header

Fault = Literal["run", "check", "stale", "metrics"]


class AlertSettings(Group):
    """Messages on faults. Both ways may be set; none is, none is sent.

    Secrets are to be in the environment of the process that runs the sensor, which is the code
    server (`make ui` starts it): they are never kept.
    """

    webhook_url: SecretStr | None = Field(
        None, description='gets {"text": …}, the form of Slack, Mattermost and Google Chat'
    )
    smtp_host: str | None = Field(None, description="of the mail server")
    smtp_port: int = Field(587, ge=1, le=65535, description="465 with tls, 25 with none")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="none: for a mail server on this machine; takes no password"
    )
    smtp_user: str | None = Field(None, description="unset: no log-in")
    smtp_password: SecretStr | None = Field(
        None, min_length=1, description="of smtp_user; needs starttls or tls"
    )
    sender: str | None = Field(None, pattern=r"^[^\s@]+@[^\s@]+$", description="of the mails")
    recipients: tuple[str, ...] = Field((), description="of the mails")
    on: tuple[Fault, ...] = Field(
        ("run", "check", "stale", "metrics"),
        description="run: a run failed; check: a check failed; stale: what is served was not "
        "found up to date within checks.served_fail_hours; metrics: below the 95% interval of the "
        "set before",
    )
    every_seconds: int = Field(30, ge=5, le=3600, description="between two looks")
    timeout_s: float = Field(10, gt=0, le=15, description="for a receiver to take a message")

    _sent = field_validator("webhook_url", mode="before")(fit_for_header)

    @field_validator("webhook_url")
    @classmethod
    def _an_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("is no http:// or https:// address")
        return url

    @model_validator(mode="after")
    def _whole(self) -> "AlertSettings":
        if self.smtp_host and not (self.sender and self.recipients):
            raise ValueError("smtp_host needs sender and recipients")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("smtp_user and smtp_password go together")
        if self.smtp_password is not None and self.smtp_security == "none":
            raise ValueError("a password needs smtp_security starttls or tls")
        return self

    @property
    def ways(self) -> list[str]:
        """The names of the ways that are set."""
        ways = {"webhook": self.webhook_url, "mail": self.smtp_host}
        return [name for name, value in ways.items() if value is not None]
