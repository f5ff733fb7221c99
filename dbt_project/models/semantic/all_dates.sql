-- Every date of the marts, so that metrics show days without downloads, too.
select cast(range as date) as date_day
from range(date '2010-01-01', date '2050-01-01', interval 1 day)
