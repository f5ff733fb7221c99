"""What a team must hear of: looked for each minute, told by e-mail and signed webhook."""
