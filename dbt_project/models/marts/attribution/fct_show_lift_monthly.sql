{{ pooled_lift(['show_id', 'month']) }}
