"""Jobs as a schedule starts them: queued by Dagster's webserver, executed by its daemon."""

import time
from collections.abc import Mapping

import dagster as dg
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
        self._client: DagsterGraphQLClient | None = None
        self._port = port

    def run(self, job: str, tags: Mapping[str, str]) -> None:
        """Queue a job and wait until it has succeeded."""
        client = self._connected()
        name = client.submit_job_execution(job, tags=dict(tags))
        until(lambda: client.get_run_status(name) in ENDED)
        assert client.get_run_status(name) == dg.DagsterRunStatus.SUCCESS, f"{job}: {name}"

    def _connected(self) -> DagsterGraphQLClient:
        deadline = time.monotonic() + 90
        while self._client is None:
            try:
                self._client = DagsterGraphQLClient("127.0.0.1", port_number=self._port)
            except Exception:
                assert time.monotonic() < deadline, "dagster dev does not come up"
                time.sleep(0.5)
        return self._client
