"""Every named point at which the suite kills the platform, by scenario; docs/faults.md says what holds."""

from __future__ import annotations

from tests.faults.killing import Point
from tests.faults.scenario import Scenario

from tests.faults.dbt_scenarios import Marts  # isort: skip
from tests.faults.feed_scenarios import Sweep, Webhooks  # isort: skip
from tests.faults.lake_scenarios import Catalogue, Compaction, Expansion, Expiry, Intake  # isort: skip
from tests.faults.marts_scenarios import Packing, Publication  # isort: skip
from tests.faults.upkeep_scenarios import Backup, Restore, Rotation, TarBackup  # isort: skip

INTAKE, COMPACTION, RETENTION = "ingest.logs.intake", "ingest.compaction", "ingest.retention"
LAKE, STATE, PUBLISH, VERSIONS = "ingest.lake", "ingest.feeds.state", "serving.publish", "serving.versions"
TOLD = "serving.told"
TURNS, ROTATE, WRITE = "serving.webhooks.turns", "serving.edge.rotate", "earshot.backup.write"

POINTS: dict[Scenario, tuple[Point, ...]] = {
    Intake("intake"): (
        Point("intake.lists_remembered", "rename", f"{LAKE}:Lake.write_rules"),
        Point("intake.file_begun", "open", f"{INTAKE}:_Intake._write"),
        Point("intake.segment_written", "fsync", f"{LAKE}:Lake.write_requests"),
        Point("intake.segment_named", "rename", f"{LAKE}:Lake.write_requests"),
        Point("intake.second_day_named", "rename", f"{LAKE}:Lake.write_requests", 2),
        Point("intake.rejects_named", "rename", f"{LAKE}:Lake.write_rejects"),
        Point("intake.before_the_ledger", "call", f"{LAKE}:Lake.record"),
        Point("intake.ledger_written", "fsync", f"{LAKE}:Lake.record"),
        Point("intake.ledger_named", "rename", f"{LAKE}:Lake.record"),
        Point("intake.between_two_ledgers", "rename", f"{LAKE}:Lake.record", 2),
        Point("intake.after_the_ledger", "remove", f"{INTAKE}:_Intake._commit"),
    ),
    Catalogue("catalogue"): (Point("catalogue.named", "rename", f"{LAKE}:write_parquet"),),
    Compaction("compaction"): (
        Point("compaction.merged", "rename", f"{COMPACTION}:_merge"),
        Point("compaction.others_linked", "link", f"{COMPACTION}:_replaced"),
        Point("compaction.before_the_swap", "exchange", f"{COMPACTION}:_replaced"),
        Point("compaction.after_the_swap", "remove", f"{COMPACTION}:clear_aside"),
        Point("compaction.between_days", "exchange", f"{COMPACTION}:_replaced", 2),
    ),
    Expansion("expansion"): (
        Point("expansion.split", "rename", f"{COMPACTION}:_split"),
        Point("expansion.before_the_swap", "exchange", f"{COMPACTION}:_replaced"),
    ),
    Expiry("expiry"): (
        Point("expiry.told_before_removed", "call", f"{RETENTION}:_forget_days"),
        Point("expiry.before_days_go", "call", f"{RETENTION}:_remove_days"),
        Point("expiry.day_moved_away", "rename", f"{RETENTION}:_remove_days"),
        Point("expiry.day_removed", "remove", f"{COMPACTION}:clear_aside"),
    ),
    Publication("publication"): (
        Point("publish.folder", "mkdir", f"{PUBLISH}:publish"),
        Point("publish.second_mart", "call", f"{PUBLISH}:write_table", 2),
        Point("publish.manifest", "call", f"{PUBLISH}:write_manifest"),
        Point("publish.flush", "fsync", f"{VERSIONS}:flush"),
        Point("publish.before_it_is_kept", "call", f"{PUBLISH}:keep_told"),
        Point("publish.kept_once", "rename", f"{TOLD}:_write", 2),
        Point("publish.between_two_kept", "rename", f"{TOLD}:_write", 3),
        Point("publish.named", "call", f"{VERSIONS}:switch"),
        Point("publish.link_made", "link", f"{VERSIONS}:switch"),
        Point("publish.before_the_switch", "rename", f"{VERSIONS}:switch"),
        Point("publish.after_the_switch", "rename", f"{VERSIONS}:prune"),
        Point("publish.old_half_removed", "remove", f"{VERSIONS}:prune", 2),
    ),
    Packing("packing"): (
        Point("packing.copied", "fsync", "orchestration.packing:pack"),
        Point("packing.named", "rename", "orchestration.packing:pack"),
    ),
    Sweep("feeds"): (
        Point("feeds.prepared", "mkdir", f"{STATE}:Shard.commit"),
        Point("feeds.before_the_commit", "call", f"{STATE}:Shard._check"),
        Point("feeds.after_the_commit", "call", f"{STATE}:lay_out", 2),
        Point("feeds.half_laid_out", "call", f"{STATE}:_move", 2),
        Point("feeds.before_changes", "call", f"{STATE}:_move_changes"),
        Point("feeds.before_state", "call", f"{STATE}:_move", 5),
        Point("feeds.before_the_registry", "call", "registry.tracker:LeasedShards.concluded"),
        Point("feeds.before_hand_over", "call", "registry.outbox:hand_over"),
        Point("feeds.outbox_without_deliveries", "call", "registry.outbox:_write"),
        Point("feeds.before_outbox_commit", "commit", "registry.outbox:hand_over"),
        Point("feeds.before_it_is_seen", "call", "registry.shards:saw"),
        Point("feeds.before_the_lease_ends", "call", "registry.leases:release"),
    ),
    Webhooks("webhooks"): (
        Point("webhooks.before_shards_are_held", "commit", "registry.leases:claim"),
        Point("webhooks.before_begun", "commit", f"{TURNS}:turn"),
        Point("webhooks.begun_not_sent", "call", "serving.webhooks.lanes:Lanes._send_all"),
        Point("webhooks.before_ended", "call", "registry.deliveries:end"),
        Point("webhooks.sent_not_written", "commit", f"{TURNS}:turn", 2),
    ),
    Rotation("rotation"): (
        Point("rotation.before_closed", "rename", f"{ROTATE}:_close"),
        Point("rotation.closed", "fsync", f"{ROTATE}:_close"),
        Point("rotation.before_flushed", "fsync", f"{ROTATE}:_publish"),
        Point("rotation.before_landed", "rename", f"{ROTATE}:_publish"),
        Point("rotation.between_two", "rename", f"{ROTATE}:_publish", 2),
        Point("rotation.landed", "fsync", f"{ROTATE}:_publish", 2),
    ),
    Backup("backup"): (
        Point("backup.staged", "mkdir", f"{WRITE}:backup"),
        Point("backup.half_linked", "link", "earshot.backup.snapshot:take_lake", 4),
        Point("backup.before_manifest", "call", f"{WRITE}:_with"),
        Point("backup.named", "call", f"{WRITE}:place"),
    ),
    TarBackup("backup as tar"): (
        Point("backup.tar_named", "call", "earshot.backup.making:place"),
        Point("backup.tar_placed", "call", f"{WRITE}:remove", 3),
    ),
    Restore("restore"): (
        Point("restore.half_written", "open", "earshot.backup.restore:_write", 4),
        Point("restore.named", "rename", "earshot.backup.restore:restore"),
    ),
}

# Builds of one warehouse, killed one after the other; each only as far as it comes.
MARTS = Marts("marts")
DBT_POINTS = (
    Point("dbt.new_files_found", "sql", "int_new_files>commit"),
    Point("dbt.windows_replaced", "sql", "delete from>int_download_windows>commit"),
    Point("dbt.windows_committed", "sql", "int_download_windows>commit>create"),
    Point("dbt.downloads_replaced", "sql", "fct_downloads>commit"),
    Point("dbt.between_two_marts", "sql", "fct_episode_daily>commit>create"),
    Point("dbt.before_it_is_counted", "sql", "int_counted_files>commit"),
)
EVERY_POINT = (*(point for points in POINTS.values() for point in points), *DBT_POINTS)

# What writes to the disk, and is run on a full, a read-only and a slow one.
ON_DISK = tuple(
    scenario for scenario in POINTS if not isinstance(scenario, Webhooks | Rotation | Expansion | TarBackup)
)
