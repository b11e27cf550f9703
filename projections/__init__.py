"""What the log means: one read model per file, each a fold over the events."""
