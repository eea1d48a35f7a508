"""LwF (Li and Hoiem, ECCV 2016)."""
