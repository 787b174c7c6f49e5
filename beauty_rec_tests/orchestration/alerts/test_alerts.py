"""Faults of a real Dagster instance reach a real receiver: once, and again when they are gone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beauty_rec.orchestration.alerts import faults
from beauty_rec.orchestration.alerts.sensor import alert_sensor
from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.refresh.lock import PARENT_TAG
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.recommender.online.sets.manifest import Manifest
from beauty_rec.serving.published.checked import CHECKED, note_checked
from beauty_rec.serving.published.manifest import FORMAT
from beauty_rec.settings import Settings
from beauty_rec_tests.orchestration.alerts.receivers import Mailbox, Webhook, mail_server, webhook
from beauty_rec_tests.orchestration.world import LAUNCHER, World, definitions_of
from beauty_rec_tests.serving.live import free_port


class Watch:
    """The sensor tick by tick on a small graph, whose runs are real."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, **alerts: Any) -> None:
        self.instance, self.world = instance, World()
        self.settings = Settings(data_dir=folder, alerts=alerts)
        self.cursor: str | None = None

    def run(self, *assets: str, split: str | None = None, tags: Any = None) -> None:
        job = definitions_of(self.world).resolve_implicit_global_asset_job_def()
        job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            partition_key=split,
            raise_on_error=False,
            tags=tags,
        )

    def tick(self) -> str:
        """Return what the tick says in Dagster's history."""
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, definitions=definitions_of(self.world)
        )
        found = alert_sensor(self.settings).evaluate_tick(context)
        self.cursor = found.cursor
        return found.skip_message or ""


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture
def watch(tmp_path: Path, hook: Webhook) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(tmp_path, instance, webhook_url=hook.url)


def test_a_failed_run_is_said_once_and_once_when_it_has_gone(watch: Watch, hook: Webhook) -> None:
    assert watch.tick() == "nothing new"
    watch.world.broken = {"words[test]"}
    watch.run("split_rows")
    watch.run("words", split="test")
    watch.tick()
    watch.run("words", split="test")  # the same fault
    watch.tick()
    (line,) = hook.lines
    assert line.startswith("🔴 run failed: words[test] (run ")
    watch.run("words", split="valid")  # another split
    assert watch.tick() == "nothing new"
    watch.world.broken = set()
    watch.run("split_rows", "words", split="test")  # another run builds it
    watch.tick()
    assert watch.tick() == "nothing new"
    assert hook.lines[1:] == [line.replace("🔴", "🟢 resolved:")]


def test_the_steps_of_a_job_are_left_to_the_job(watch: Watch, hook: Webhook) -> None:
    watch.world.broken = {"split_rows"}
    watch.run("split_rows", tags={PARENT_TAG: "a job"})
    assert watch.tick() == "nothing new"


def test_a_step_of_a_job_that_somebody_starts_again_is_not(watch: Watch, hook: Webhook) -> None:
    watch.tick()
    run = watch.instance.create_run_for_job(
        definitions_of(watch.world).resolve_implicit_global_asset_job_def(),
        tags={PARENT_TAG: "a job"},  # Dagster gives it those of the first
        asset_selection=frozenset({dg.AssetKey("split_rows")}),
        remote_job_origin=LAUNCHER,
    )
    watch.instance.report_run_failed(run, "no")
    watch.tick()
    (line,) = hook.lines
    assert line.startswith("🔴 run failed: split_rows (run ")


def test_a_job_that_failed_stands_until_it_succeeds(watch: Watch, hook: Webhook) -> None:
    works = False

    @dg.op
    def walk() -> None:
        if not works:
            raise ValueError("no")

    @dg.job(tags={"beauty_rec/job": "nightly_reindex"})
    def nightly() -> None:
        walk()

    nightly.execute_in_process(instance=watch.instance, raise_on_error=False)
    watch.tick()
    works = True
    nightly.execute_in_process(instance=watch.instance)
    watch.tick()
    assert [line.split(" (")[0] for line in hook.lines] == [
        "🔴 run failed: nightly_reindex",
        "🟢 resolved: run failed: nightly_reindex",
    ]


def test_a_failed_check_is_said_until_it_passes(
    watch: Watch, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "HISTORY", 1)
    watch.run("split_rows")
    watch.world.check_passes = False
    watch.run("split_rows")
    watch.tick()
    watch.tick()
    assert any("check failed: split_rows enough_rows" in line for line in hook.lines)
    before = len(hook.lines)
    watch.world.broken = {"split_rows"}
    watch.run("split_rows")  # the check is planned, and never run
    assert watch.tick() == "nothing new"
    watch.world.broken, watch.world.check_passes = set(), True
    watch.run("split_rows")
    watch.tick()
    gone = "🟢 resolved: check failed: split_rows enough_rows"
    assert [line for line in hook.lines[before:] if line.startswith(gone)]


def publish(watch: Watch, hours_ago: float) -> Path:
    """Publish a set; return its manifest."""
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    made = Manifest(
        format=FORMAT, set="abc", created_at=at.isoformat(),
        parts={}, indexes={}, facts={}, metrics={},
    )  # fmt: skip
    manifest = watch.settings.data_dir / "serving" / "manifest.json"
    manifest.parent.mkdir(exist_ok=True)
    manifest.write_text(made.model_dump_json())
    return manifest


def test_a_stale_set_is_said_until_another_is_published(watch: Watch, hook: Webhook) -> None:
    publish(watch, 49)
    assert watch.tick() == "nothing new"
    manifest = publish(watch, 51)
    watch.tick()
    watch.tick()
    manifest.unlink()
    assert watch.tick() == "nothing new"  # nothing says that it is over
    manifest.write_text("{}")
    watch.tick()
    publish(watch, 0)
    watch.tick()
    assert [line.partition(" set ")[2].split(":")[0] for line in hook.lines] == [
        "stale",
        "unreadable",
        "stale",
        "unreadable",
    ]
    assert [line[0] for line in hook.lines] == ["🔴", "🔴", "🟢", "🟢"]


def test_a_fault_that_is_not_looked_for_any_more_is_not_resolved(
    watch: Watch, hook: Webhook
) -> None:
    publish(watch, 51)
    watch.tick()
    assert [line[0] for line in hook.lines] == ["🔴"]
    every = watch.settings
    some = every.alerts.model_copy(update={"on": ("run",)})
    watch.settings = every.model_copy(update={"alerts": some})
    assert watch.tick() == "nothing new"
    watch.settings = every
    watch.tick()
    assert [line[0] for line in hook.lines] == ["🔴", "🔴"]


def test_a_set_is_not_stale_where_a_refresh_found_nothing_new(watch: Watch, hook: Webhook) -> None:
    root = publish(watch, 51).parent
    note_checked(root)
    assert watch.tick() == "nothing new"
    (root / CHECKED).write_text("[")  # as if it had never been noted
    watch.tick()
    assert "published" in hook.lines[0]
    note_checked(root)
    watch.tick()
    assert hook.lines[1:] == [hook.lines[0].replace("🔴", "🟢 resolved:")]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_metrics_below_the_interval_before_are_said_until_they_are_back(
    watch: Watch, hook: Webhook, elsewhere: bool
) -> None:
    root = watch.settings.data_dir
    if elsewhere:
        told, root = watch.settings.alerts.model_dump(), root / "store"
        storage = {"url": str(root)}
        watch.settings = Settings(data_dir=root.parent, alerts=told, storage=storage)
    report = root / "evaluation" / "report.json"
    report.parent.mkdir(parents=True)

    def write(recall: float) -> None:
        served = {"recall@10": recall, "intervals": {"recall@10": [recall - 0.05, recall + 0.05]}}
        report.write_text(json.dumps({"answer": {"test": {"with_text": {"served": served}}}}))

    for recall, said in ((0.30, 0), (0.26, 0), (0.20, 1), (0.19, 1)):
        write(recall)
        watch.tick()
        assert len(hook.lines) == said, recall
    report.write_text("[")
    assert watch.tick() == "nothing new"  # nothing says that it is over
    write(0.25)
    watch.tick()
    assert len(hook.lines) == 2
    assert "with_text recall@10 is 0.2000, below the 95% interval [0.2100, 0.3100]" in hook.lines[0]


@pytest.mark.parametrize("status", [503, 404, 302])
def test_what_a_receiver_does_not_take_comes_with_the_next_tick(
    watch: Watch, hook: Webhook, status: int
) -> None:
    hook.status = status
    watch.world.broken = {"split_rows"}
    watch.run("split_rows")
    assert f"1 lines wait for the next look: the receiver answered {status}" in watch.tick()
    watch.world.broken = set()
    watch.run("split_rows")
    assert "2 lines wait" in watch.tick()
    hook.status = 200
    watch.tick()
    assert watch.tick() == "nothing new"
    assert [line.split(" (")[0] for line in hook.lines] == [
        "🔴 run failed: split_rows",
        "🟢 resolved: run failed: split_rows",
    ]


def test_mails_wait_for_their_server_while_the_webhook_gets_its_own(
    watch: Watch, hook: Webhook
) -> None:
    port, box = free_port(), Mailbox()
    watch.settings = Settings(
        data_dir=watch.settings.data_dir,
        alerts={
            "webhook_url": hook.url,
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "smtp_security": "none",
            "sender": "shop@example.com",
            "recipients": ["ops@example.com", "gone@example.com"],
        },
    )
    watch.world.broken = {"split_rows"}
    watch.run("split_rows")
    assert "mail: 1 lines wait for the next look: not reached" in watch.tick()
    assert len(hook.lines) == 1
    box.refused = {"gone@example.com"}
    with mail_server(port, box):
        assert watch.tick() == "mail: 1 of 2 recipients refused"
        assert watch.tick() == "nothing new"
    (envelope,) = box.mails
    mail = message_from_bytes(envelope.content, policy=policy.default)
    assert mail["Subject"].startswith("🔴 run failed: split_rows")
    assert envelope.rcpt_tos == ["ops@example.com"]
    assert len(hook.lines) == 1


def test_no_record_and_no_log_holds_the_webhook(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon keeps cursor and reasons in its home: no file of it names the address."""
    caplog.set_level("DEBUG")
    url = f"http://127.0.0.1:{free_port()}/services/T00/planted-hook"
    with open_instance(tmp_path) as instance:
        watch = Watch(tmp_path, instance, webhook_url=url)
        watch.world.broken = {"split_rows"}
        watch.run("split_rows")
        said = watch.tick()
        assert "not reached: ConnectionRefusedError" in said
        with webhook() as hook:
            watch.settings = Settings(data_dir=tmp_path, alerts={"webhook_url": hook.url})
            watch.tick()
            assert len(hook.lines) == 1
        assert "planted" not in caplog.text
        assert "planted" not in f"{said}{watch.cursor}"
    assert "planted" not in watch.settings.remembered()
    assert "planted" not in json.dumps(watch.settings.environment())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"planted" in path.read_bytes()]


def test_the_sensor_runs_by_itself_where_a_receiver_is_set(tmp_path: Path) -> None:
    for given, runs in ({}, False), ({"webhook_url": "https://hooks.example.com/x"}, True):
        definitions = build_definitions(Settings(data_dir=tmp_path, alerts=given))
        (found,) = [s for s in definitions.sensors or () if s.name == "alerts"]
        assert isinstance(found, dg.SensorDefinition)
        assert (found.default_status is dg.DefaultSensorStatus.RUNNING) is runs


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"webhook_url": "ftp://hooks.example.com/planted"}, "is no http"),
        ({"smtp_host": "mail"}, "needs sender and recipients"),
        ({"smtp_user": "me"}, "go together"),
        (
            {"smtp_user": "me", "smtp_password": "planted", "smtp_security": "none"},
            "needs smtp_security",
        ),
    ],
)
def test_half_a_receiver_is_refused(given: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        Settings(data_dir=tmp_path, alerts=given)
    assert "planted" not in str(refused.value)
