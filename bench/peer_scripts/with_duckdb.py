"""The same as one DuckDB query: `with_duckdb.py NEEDED_CSV BOTS_TXT LOG...` prints the number of downloads.

Leaves out: as the plain loop.
"""

import sys
from pathlib import Path

import duckdb

UNKNOWN_NEEDED = 960_000  # bytes: one minute at 128 kbit/s
COLUMNS = {f"f{n}": "VARCHAR" for n in range(33)}  # 0 day, 3 bytes, 4 address, 5 method, 7 path, 8 status
SQL = """
with requests as (
  select f0 as day, f4 as ip, f10 as agent, f7 as path, f3::bigint as size
  from read_csv(
    $logs, columns = $columns, delim = '\t', quote = '', escape = '', header = false, skip = 2,
    auto_detect = false, ignore_errors = true
  )
  where f8 in ('200', '206') and f5 = 'GET'
),
bots as (
  select agent from (select distinct agent from requests) where regexp_matches(url_decode(agent), $bots)
),
sums as (
  select path, sum(size) as size from requests
  where agent not in (from bots) group by ip, agent, path, day
)
select count(*)
from sums left join read_csv($needed, header = false, names = ['path', 'needed']) as known using (path)
where size >= coalesce(needed, $unknown) and (needed is not null or regexp_matches(path, '\\.(mp3|m4a)$'))
"""


def main(needed_csv: str, bots_txt: str, *logs: str) -> None:
    given = {
        "needed": needed_csv,
        "bots": Path(bots_txt).read_text(),
        "logs": list(logs),
        "columns": COLUMNS,
        "unknown": UNKNOWN_NEEDED,
    }
    row = duckdb.execute(SQL, given).fetchone()
    print(row[0] if row else 0)


main(*sys.argv[1:])
