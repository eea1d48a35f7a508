"""Files, locks and URLs: whole files, strict JSON, one process at a time."""
