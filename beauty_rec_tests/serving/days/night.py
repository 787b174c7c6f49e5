"""Jobs as a schedule starts them: queued by Dagster's webserver, executed by its daemon."""

from collections.abc import Mapping
from contextlib import suppress

import dagster as dg
import httpx
from dagster_graphql import DagsterGraphQLClient

from beauty_rec_tests.orchestration.daemon.live_shop import until

ENDED = {
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
}


class Nights:
    """Runs jobs of the `dagster dev` at a port."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/server_info"
        self._client = DagsterGraphQLClient("127.0.0.1", port_number=port)

    def run(self, job: str, tags: Mapping[str, str]) -> None:
        """Queue a job and wait until it has succeeded."""
        until(self._is_up, 120)
        name = self._client.submit_job_execution(job, tags=dict(tags))
        until(lambda: self._client.get_run_status(name) in ENDED)
        assert self._client.get_run_status(name) == dg.DagsterRunStatus.SUCCESS, f"{job}: {name}"

    def _is_up(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(self._address).status_code == 200
        return False
