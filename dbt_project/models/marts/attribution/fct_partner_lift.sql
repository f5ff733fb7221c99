{{ pooled_lift(['show_id', 'partner_show_id']) }}
