"""What a worker counts and measures, for Prometheus.

Numbers are added once for each batch, or for each thing that is rare. No label names a person. The table in
docs/operations.md says what each metric is for; the dashboard and the alerts in `deploy/` read them.
"""

import time
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_API_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one worker, in a registry of their own. Safe to be used from several threads.

    `names` gives the labels of each by its name as in `text` (of a histogram the name without suffix).
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.names: dict[str, tuple[str, ...]] = {}
        self._process = ProcessCollector(registry=self.registry)
        self._worked_at: dict[str, float] = {}
        self._started = self._gauge("kith_start_time_seconds", "When the worker last started, in epoch seconds.")
        self._started.set_to_current_time()  # of the process it is another: a worker starts anew within its process
        self._events = self._counter("kith_events", "Messages worked off.", "stage")
        self._batch = self._histogram("kith_batch_seconds", "Work on one batch, without its commit.", "stage")
        self._commit = self._histogram("kith_commit_seconds", "Commit of one batch.", "stage")
        self._aborts = self._counter("kith_aborts", "Transactions that were undone and done again.", "stage")
        self._rebalances = self._counter("kith_rebalances", "Times that partitions came to this worker.", "stage")
        self._lag = self._gauge("kith_lag_messages", "Messages not yet worked off.", "stage", "topic", "partition")
        self._held = self._gauge("kith_partitions", "Partitions that this worker has.", "stage")
        self._all = self._gauge("kith_partitions_expected", "Partitions that all workers should have.", "stage")
        self._refused = self._counter("kith_dead_letters", "Messages that became dead letters.", "reason")
        self._duplicates = self._counter("kith_duplicates", "Events that had been counted before.")
        self._late = self._counter("kith_late_events", "Events older than the horizon, which are dead letters.")
        self._merged = self._counter("kith_merges", "People merged into another.")
        self._split = self._counter("kith_splits", "People split off from another.")
        self._evidence = self._counter("kith_evidence_refused", "Pairs of identifiers that were not joined.")
        self._moved = self._counter("kith_parts_moved", "Parts sent from one person to another.")
        self._bounces = self._counter("kith_bounces", "Events sent back to the resolver since their part had moved.")
        self._frozen = self._gauge("kith_frozen_people", "People who wait for a part.")
        self._frozen_seconds = self._gauge("kith_frozen_seconds", "How long the first of them has waited.")
        self._triggers = self._counter("kith_triggers", "Decided triggers.", "rule", "outcome")
        self._clock = self._gauge("kith_clock_lag_seconds", "How far the clock of triggers is behind the time of day.")
        self._profiles = self._counter("kith_profiles_published", "Profiles published.")
        self._segments = self._counter("kith_segment_changes", "Tags entered and left.")
        self._restore = self._gauge("kith_restore_seconds", "How long the last restore of state took.", "stage")
        self._records = self._counter("kith_restored_records", "Records of state read back.", "stage")
        self._people = self._gauge("kith_people", "People in the partitions of this worker.")
        self._bytes = self._gauge("kith_state_bytes", "Local state on disk.", "store")
        self._webhooks = self._counter("kith_webhook_deliveries", "Deliveries to webhooks.", "target", "outcome")
        self._alarms = self._counter("kith_quality_alarms", "Alarms about a product.")
        self._lake_rows = self._counter("kith_lake_rows", "Rows written to the lake.")
        self._lake_files = self._counter("kith_lake_files", "Files written to the lake.")
        self._lake_bytes = self._counter("kith_lake_bytes", "Bytes of the files written to the lake.")
        self._lake_seconds = self._histogram("kith_lake_chunk_seconds", "Writing one partition's chunk.")
        self._lake_compacted = self._counter("kith_lake_compacted_files", "Files of the lake merged into others.")
        self._lake_failures = self._counter("kith_lake_failures", "Writes to the lake that are tried again.")
        self._lake_missed = self._counter("kith_lake_missed", "Offsets that Kafka removed before the lake had them.")
        self._commands = self._counter("kith_commands", "Commands carried out or refused.", "command", "outcome")
        self._snapshots = self._counter("kith_snapshots", "Snapshots made, or not made.", "outcome")
        self._snapshot_people = self._gauge("kith_snapshot_people", "People in the last snapshot.")
        self._snapshot_ended = self._gauge("kith_snapshot_time_seconds", "When the last snapshot was made, in epoch s.")
        self._snapshot_took = self._gauge("kith_snapshot_duration_seconds", "How long the last snapshot took.")
        self._audit_found = self._gauge("kith_audit_differences", "Differences the last audit found.", "kind")
        self._audit_people = self._gauge("kith_audit_people", "People that the last audit compared.")
        self._audit_ended = self._gauge("kith_audit_time_seconds", "When the last audit ended, in epoch seconds.")
        self._requests = self._counter("kith_api_requests", "Answers of the HTTP side.", "route", "status")
        self._answers = self._histogram("kith_api_seconds", "Time to an answer.", "route", buckets=_API_SECONDS)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.names[f"{name}_total"] = labels
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.names[name] = labels
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        self.names[name] = labels
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    # Stages

    def batch(self, stage: str, messages: int, seconds: float) -> None:
        """A batch was worked off, its commit yet to come."""
        self._events.labels(stage).inc(messages)
        self._batch.labels(stage).observe(seconds)
        self._worked_at.setdefault(stage, time.monotonic())

    def committed(self, stage: str, seconds: float) -> None:
        """A batch was committed."""
        self._commit.labels(stage).observe(seconds)
        self._worked_at.pop(stage, None)

    def aborted(self, stage: str) -> None:
        """A transaction was undone."""
        self._aborts.labels(stage).inc()
        self._worked_at.pop(stage, None)

    def rebalanced(self, stage: str) -> None:
        """Partitions came."""
        self._rebalances.labels(stage).inc()
        self._worked_at.pop(stage, None)

    def uncommitted_s(self, stage: str) -> float:
        """Return how long ago a batch was worked off that nothing has been heard of since."""
        worked_at = self._worked_at.get(stage)
        return 0.0 if worked_at is None else time.monotonic() - worked_at

    def partitions(self, stage: str, held: int, expected: int) -> None:
        """This worker has so many partitions of those that all workers should have."""
        self._held.labels(stage).set(held)
        self._all.labels(stage).set(expected)

    def lag(self, stage: str, lags: Iterable[tuple[str, int, int]]) -> None:
        """A stage has so much before it: (topic, partition, messages) of each partition that is told of."""
        self._lag.remove_by_labels({"stage": stage})
        for topic, partition, messages in lags:
            self._lag.labels(stage, topic, str(partition)).set(messages)

    def restored(self, stage: str, records: int, seconds: float) -> None:
        """State was read back."""
        self._restore.labels(stage).set(seconds)
        self._records.labels(stage).inc(records)

    def refused(self, reason: str, number: int = 1) -> None:
        """Messages became dead letters."""
        self._refused.labels(reason).inc(number)

    # People

    def folded(self, late: int, duplicates: int) -> None:
        """So many events of a batch were too late, or known already."""
        if late:
            self._late.inc(late)
        if duplicates:
            self._duplicates.inc(duplicates)

    def people_changed(self, merged: int, split: int, refused: int) -> None:
        """So many people were merged and split, so many pairs not joined."""
        for counter, number in ((self._merged, merged), (self._split, split), (self._evidence, refused)):
            if number:
                counter.inc(number)

    def part_moved(self, number: int = 1) -> None:
        """Parts were sent to another person."""
        self._moved.inc(number)

    def bounced(self, number: int = 1) -> None:
        """Events went back to the resolver."""
        self._bounces.inc(number)

    def frozen(self, people: int, seconds: float) -> None:
        """So many people wait for a part, the first of them for so long."""
        self._frozen.set(people)
        self._frozen_seconds.set(seconds)

    def fired(self, rule: str, outcome: str, number: int = 1) -> None:
        """A trigger was decided."""
        self._triggers.labels(rule, outcome).inc(number)

    def clock_behind(self, seconds: float) -> None:
        """The clock of triggers is so far behind the time of day."""
        self._clock.set(seconds)

    def published(self, profiles: int, segment_changes: int) -> None:
        """So many profiles and changes of tags were published."""
        self._profiles.inc(profiles)
        self._segments.inc(segment_changes)

    def state(self, people: int, sizes: Iterable[tuple[str, int]]) -> None:
        """So many people are here; (store, bytes) of each local store."""
        self._people.set(people)
        self._bytes.clear()
        for store, size in sizes:
            self._bytes.labels(store).set(size)

    # The lake

    def lake_wrote(self, rows: int, files: int, size: int, seconds: float) -> None:
        """A chunk of a partition was written."""
        self._lake_rows.inc(rows)
        self._lake_files.inc(files)
        self._lake_bytes.inc(size)
        self._lake_seconds.observe(seconds)

    def lake_compacted(self, files: int) -> None:
        """So many files were merged into others."""
        self._lake_compacted.inc(files)

    def lake_failed(self) -> None:
        """The lake could not be written; it is tried again."""
        self._lake_failures.inc()

    def lake_missed(self, offsets: int) -> None:
        """So many offsets were removed from Kafka before the lake had them."""
        self._lake_missed.inc(offsets)

    # What hangs on it

    def webhook(self, target: str, outcome: str) -> None:
        """A delivery ended: `delivered`, `retried` or `dead`."""
        self._webhooks.labels(target, outcome).inc()

    def alarm(self) -> None:
        """An alarm about a product was raised."""
        self._alarms.inc()

    def command(self, command: str, outcome: str) -> None:
        """A command was read: `done` or `refused`."""
        self._commands.labels(command, outcome).inc()

    def snapshot_made(self, people: int, at_s: float, took_s: float) -> None:
        """A snapshot was made."""
        self._snapshots.labels("made").inc()
        self._snapshot_people.set(people)
        self._snapshot_ended.set(at_s)
        self._snapshot_took.set(took_s)

    def snapshot_failed(self) -> None:
        """No snapshot was made."""
        self._snapshots.labels("failed").inc()

    def audited(self, people: int, differences: Mapping[str, int], at_s: float) -> None:
        """An audit ended: so many people compared, differences by kind."""
        self._audit_people.set(people)
        self._audit_ended.set(at_s)
        for kind, number in differences.items():
            self._audit_found.labels(kind).set(number)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """The HTTP side answered."""
        self._requests.labels(route, str(status)).inc()
        self._answers.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self.registry)
