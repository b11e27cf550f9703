"""Migrations of the tables that are not rebuilt from the log."""
