"""Scores of a step on validation images."""
