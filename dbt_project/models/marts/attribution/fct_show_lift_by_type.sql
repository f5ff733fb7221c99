{{ pooled_lift(['show_id', 'type']) }}
