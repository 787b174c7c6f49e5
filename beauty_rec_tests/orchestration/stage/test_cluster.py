"""Steps elsewhere are told what they need to be started."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from beauty_rec.orchestration.dagster_internals import ModuleCodePointer
from beauty_rec.orchestration.refresh.lock import PARENT_TAG
from beauty_rec.orchestration.stage.cluster import run_step
from beauty_rec.settings import Settings

VARIABLES = {"k8s": {"env_vars": ["BEAUTY_REC_PROFILE=full"]}}


def test_a_step_of_a_job_has_its_image_and_its_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RepositoryPythonOrigin] = []

    @contextmanager
    def execute(job: Any, **_: Any) -> Iterator[None]:
        asked.append(job.get_python_origin().repository_origin)
        yield

    monkeypatch.setattr(dg, "execute_job", execute)
    settings = Settings(data_dir=tmp_path, execution={"executor": "multiprocess"})
    definitions = dg.Definitions(resources={"settings": settings})
    entry = ["python", "-m", "dagster"]
    of_job = RepositoryPythonOrigin(
        "python", ModuleCodePointer("elsewhere", "defs"), "shop:1", entry, VARIABLES
    )
    with dg.DagsterInstance.ephemeral() as instance:
        parent = instance.create_run_for_job(
            dg.Definitions(jobs=[_job()]).resolve_job_def("nightly"),
            job_code_origin=JobPythonOrigin("nightly", of_job),
        )
        for tags in ({PARENT_TAG: parent.run_id}, {PARENT_TAG: "gone"}, {}):
            run_step(definitions, instance, dg.AssetKey("keywords"), "test", tags, {})
    told, *alone = asked
    assert told.container_image == "shop:1"
    assert told.container_context == VARIABLES
    assert told.entry_point == entry
    assert [origin.container_image for origin in alone] == [None, None]
    assert {origin.code_pointer for origin in asked} == {
        ModuleCodePointer("beauty_rec.definitions", "defs")
    }


def _job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def nightly() -> None:
        nothing()

    return nightly
