"""What may happen: events, states, commands and named errors; pure."""
