"""Names, limits and the reason each exists."""

from __future__ import annotations

OWNERS = ["team:data"]  # of all assets; a model may name others: `meta.dagster.owners`

REQUESTS = "requests"
REJECTS = "rejects"
FILES = "files"
CATALOG_EPISODES = "catalog_episodes"
PUBLISHED_MARTS = "published_marts"
POSTGRES_CHECK = "postgres_is_current"
REFERENCE_LISTS = "reference_lists"
ADDRESS_LISTS = "address_lists"
RESTATED_DAYS = "restated_days"
LAKE_MAINTENANCE = "lake_maintenance"

PODCAST_FEEDS = "podcast_feeds"
TRACKED_PODCASTS = "tracked_podcasts"
COLLABORATIONS = "collaborations"
FEED_NOTICES = "feed_notices"
FEED_DIRECTORIES = "feed_directories"
HUB_SUBSCRIPTIONS = "hub_subscriptions"
SEARCH_INDEX = "search_index"
CHANGE_WEBHOOKS = "change_webhooks"

INGEST_JOB = "ingest_logs"
FEEDS_JOB = "sweep_feeds"
TRACKED_JOB = "look_at_feeds"
NOTICES_JOB = "take_in_notices"
DIRECTORIES_JOB = "read_directories"
HUBS_JOB = "ask_hubs"
WEBHOOKS_JOB = "deliver_webhooks"
WEBHOOKS_SCHEDULE = "look_at_webhooks"
CATALOG_JOB = "ingest_catalog"
MARTS_JOB = "marts"
LISTS_JOB = "refresh_lists"
MAINTENANCE_JOB = "maintain_lake"

# --- jobs that a person starts (orchestration/by_hand): named as one would ask for them
TAKE_IN_JOB = "take_in_now"
REBUILD_MONTH_JOB = "rebuild_a_month"
RESTATE_JOB = "restate"
REFRESH_JOB = "refresh_a_podcast"
REPLAY_JOB = "replay_webhooks"

# The warehouse has one writer, and in DuckDB a reader blocks it too: dbt and the publisher take turns.
WAREHOUSE_POOL = "warehouse"

# The month of the first release: no log was taken in before, and every earlier hour would only be another
# empty partition in the UI. 93,000 hours (ten years) list in under a second.
FIRST_ARRIVAL_HOUR = "2026-11-01-00:00"

# Days that can be judged again: those with requests, which no partition list could know when code is loaded.
FIRST_EVENT_DAY = "2020-01-01"

# The public lists change a few times a week. Not on the hour, when everybody asks.
LISTS_CRON = "17 4 * * *"

# Late files of the days before have come, and nobody has begun to work.
MAINTENANCE_CRON = "30 3 * * *"

# --- feeds
# A run costs over a second to start, so it sweeps an eighth of the shards, and the parts take turns.
SHARDS_PER_RUN = 32
# So few podcasts are swept in one run, all shards of them: even if all are due, the time suffices.
FEW_PODCASTS = 2_000
SWEEP_BUDGET_S = 45.0
FEEDS_INTERVAL_S = 15
# How the promises are kept is told six times an hour; that reads the state of every podcast. Nobody waits
# longer than this for a collaboration either.
TRACKED_CRON = "*/10 * * * *"
MAX_FAILING_SHARE = 0.2
FEEDS_TAG = "earshot/feeds"  # one sweep at a time: two would only share the same two cores

# A notice pulls a poll forward to no sooner than 5 minutes after the last: half a minute more costs no
# promise, and a run, which a stream of notices asks for each time, costs over a CPU-second to start.
NOTICES_INTERVAL_S = 30
# After a run that failed its files are asked for again, not at once: a full disk, a registry that restarts.
NOTICES_RETRY_S = 60
# The Podcast Index writes a change file every three minutes; the budgets are shared out over these passes.
DIRECTORIES_EVERY_MIN = 3
DIRECTORIES_CRON = f"*/{DIRECTORIES_EVERY_MIN} * * * *"
# Hubs are asked anew after days; a new podcast waits for its hub no longer than this.
HUBS_CRON = "7-59/10 * * * *"
HUBS_BUDGET_S = 60.0
SHOWN_FINDINGS = 50  # rows of a table in the UI: rejected notices, findings

# --- webhooks
DELIVERY_BUDGET_S = 45.0
# Endpoints are looked at so often where nothing is sent, too; not in the minute of the look at feeds.
WEBHOOKS_CRON = "5-59/10 * * * *"
MAX_DELIVERY_WAIT_S = 300  # of an endpoint that takes them; paused ones wait by right
DEAD_LETTERS_S = 24 * 3600  # how long a delivery that was given up is told about
SHOWN_ENDPOINTS = 50  # rows of the table in the UI
WEBHOOKS_TAG = "earshot/webhooks"  # one run at a time: a second one would find all endpoints taken

# --- alerts
# A look costs some milliseconds; what is dear has its turn more seldom (serving/alerts/looks.py).
ALERTS_INTERVAL_S = 60

EVENT_DAYS = "event_days"  # metadata of `requests`: the event days an intake changed

# --- tags of runs: what one is about, to filter by (docs/operations.md)
BY_HAND_TAG = "earshot/by_hand"  # a person started it
SOURCE_TAG = "earshot/source"
FILES_TAG = "earshot/files"
CATALOG_TAG = "earshot/catalog"  # a hash of the CSV files it takes in
ATTEMPT_TAG = "earshot/attempt"
UP_TO_TAG = "earshot/up_to"  # the newest materialisation a build of the marts covers
DAYS_TAG = "earshot/days"  # event days that changed
SCOPE_TAG = "earshot/scope"  # what a build of the marts covers: `whole` or `new`

# --- landing sensor
# The sensor daemon looks at a sensor every 5 s at best; asking for less changes nothing.
SENSOR_INTERVAL_S = 5
# A catalogue is replaced a few times a day: its sensor may cost a sixth of the others.
CATALOG_INTERVAL_S = 30
# After a run that failed it is asked for again: at once after a killed process, then long enough for a full
# disk to be noticed. A file that cannot be read fails each time: then it waits for the next delivery.
CATALOG_PAUSES_S = (0, 60, 600, 3600)
# A run's file list travels in its config and is repeated in each of its events: 500 names are about 50 kB.
# At 30,000 lines a file it is also about a minute's work, which is what a crash can cost.
MAX_FILES_PER_RUN = 500
# Hashing happens in the code server, which also answers the UI: 2 s of a 5 s interval, about 1 GB.
HASH_SECONDS_PER_TICK = 2.0
HASH_BYTES_PER_TICK = 2**30
# When a run ends and the ledger does not know all of its files, those are asked for again. The first of them
# may be what broke it and goes alone from then on; the others go in ever smaller company, 500, 62, 7, 1, in
# case it was not. So a file that kills its worker ends up alone and the others get through.
MAX_FILE_ATTEMPTS = 4
# Time before each further attempt: at once after a crash, then long enough for a full disk to be noticed.
ATTEMPT_PAUSES_S = (0, 60, 600)
# And from then on, for ever, since what kept them out (a lost key, a disk that was full over night) is mended
# at some time. In full company again: of each such run, too, the first that it left out goes alone.
LATER_ATTEMPTS_S = 3600
# Files the cursor has passed are compared with the whole ledger this often; between, only new ones are.
SWEEP_INTERVAL_S = 60

# --- marts due sensor
# A build costs about 10 CPU-s however little is new, so builds are at least this far apart. Well inside the
# gate of 60 s from file to published mart.
MARTS_INTERVAL_S = 15
# Marts that are made anew as a whole (audience, pacing, reconciliation) and the tests of all models cost the
# more the longer the history is. So most builds leave them out, and one takes all: this often, or once new
# requests have stopped for a while.
WHOLE_INTERVAL_S = 3600
QUIET_S = 120
# dbt's tag of those marts.
WHOLE_TAG = "whole"
# What of them a long history counted in steps has made once, after the last step: dbt's selectors.
# And fct_restatements, whose figures are those of the first build that counts: half the history is none.
MADE_LAST = (
    f"tag:{WHOLE_TAG},path:models/marts",
    "path:models/intermediate/attribution",
    "fct_restatements",
)
# Materialisations read a tick; more wait for the next one.
MAX_EVENTS_PER_TICK = 1000
MAX_MARTS_ATTEMPTS = 3

# --- checks
EARLIEST_YEAR = 2010  # podcast logs older than this do not exist; such a time is a broken clock
DRIFT_HISTORY_DAYS = 14
DRIFT_MIN_DAYS = 3
DRIFT_FACTOR = 2.0
OPEN_PROBLEM_DAYS = 30  # how long a file that was held back or refused is told about

# A run whose worker lost its lock may be just about to report its end: wait this long before calling it dead.
DEAD_RUN_GRACE_S = 30
# The lock files of ended runs are cleared away after this; younger ones may be about to be locked.
ENDED_RUN_LOCK_S = 24 * 3600

# A run may take longer where the machine is short of cores; a caller of the API is not to notice one.
RUNS_GIVE_WAY = 5  # by how much its niceness is above that of what answers
