"""What happened: the append-only log, its writer and those who follow it."""
