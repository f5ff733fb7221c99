"""What a page says, as plain data: figures, tables, charts and words, without a line of HTML."""
