{{ listeners_by_period(['show_id']) }}
