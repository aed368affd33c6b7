"""implicit's models with approximate indexes, answered exactly: the settings of an index change nothing."""
