"""Losses as pure tensor functions; their weights belong to the caller."""
