"""Where traces and figures go, for those who watch a shop with tools of their own."""

from pathlib import Path

from pydantic import Field, field_validator

from beauty_rec.settings.group import Group, from_anywhere
from beauty_rec.settings.secrets import refuse_secret


class TraceSettings(Group):
    """Traces of requests and assets by OpenTelemetry (extra `otel`); off unless one is set."""

    endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="of a collector that speaks OTLP over gRPC, http://collector:4317; its key "
        "goes in OTEL_EXPORTER_OTLP_HEADERS",
    )
    file: Path | None = Field(None, description="gets a line of JSON a span")
    share: float = Field(1.0, ge=0, le=1, description="of the traces that are kept")

    _no_secret = field_validator("endpoint")(refuse_secret)
    _anywhere = field_validator("file")(from_anywhere)

    @property
    def wanted(self) -> bool:
        """Whether traces go anywhere."""
        return self.endpoint is not None or self.file is not None


class MlflowSettings(Group):
    """A run of MLflow for each report (extra `mlflow`); off unless tracking_uri is set."""

    tracking_uri: str | None = Field(
        None,
        description="http://mlflow:5000 or sqlite:///path (file:///path where MLflow is allowed to "
        "by MLFLOW_ALLOW_FILE_STORE=true); user and password go in MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD",
    )
    experiment: str = Field("beauty_rec", min_length=1, description="that the runs belong to")

    _no_secret = field_validator("tracking_uri")(refuse_secret)
