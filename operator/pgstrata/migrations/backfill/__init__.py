"""Backfills: rows changed batch by batch beside live traffic, and kept right meanwhile."""
