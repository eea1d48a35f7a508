"""Annotations of other tools, painted as masks of own data."""
