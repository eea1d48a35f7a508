"""ILT (Michieli and Zanuttigh, ICCV workshops 2019)."""
