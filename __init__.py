"""Kanal, a self-hosted help desk for custom communication channels, on an event log."""

__version__ = "0.1.0"
