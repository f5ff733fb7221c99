{{ listeners_by_period(['show_id', 'episode_key']) }}
