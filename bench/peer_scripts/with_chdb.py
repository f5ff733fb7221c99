"""The same as one chDB query: `with_chdb.py NEEDED_CSV BOTS_TXT LOG...` prints the number of downloads.

Lines are split by hand, since damaged ones have other numbers of fields.

Leaves out: as the plain loop.
"""

import sys
from pathlib import Path

import chdb  # type: ignore[import-not-found,unused-ignore]

UNKNOWN_NEEDED = 960_000  # bytes: one minute at 128 kbit/s
SQL = """
with requests as (
  select f[1] as day, f[5] as ip, f[11] as agent, f[8] as path, toUInt64OrZero(f[4]) as size
  from (select splitByChar('\t', line, 12) as f from file({logs}, 'LineAsString', 'line String'))
  where f[9] in ('200', '206') and f[6] = 'GET'
),
bots as (
  select agent from (select distinct agent from requests) where match(decodeURLComponent(agent), {bots})
),
sums as (
  select path, sum(size) as size from requests
  where agent not in (select agent from bots) group by ip, agent, path, day
),
known as (select path, needed from file({needed}, 'CSV', 'path String, needed UInt64'))
select count()
from sums left join known using (path)
where size >= if(needed > 0, needed, {unknown}) and (needed > 0 or match(path, '[.](mp3|m4a)$'))
"""


def main(needed_csv: str, bots_txt: str, *logs: str) -> None:
    names = ",".join(Path(log).name for log in logs)
    pattern = Path(bots_txt).read_text()
    given = {"logs": f"{Path(logs[0]).parent}/{{{names}}}", "bots": pattern, "needed": needed_csv}
    quoted = {
        name: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" for name, text in given.items()
    }
    print(str(chdb.query(SQL.format(**quoted, unknown=UNKNOWN_NEEDED))).strip())


main(*sys.argv[1:])
