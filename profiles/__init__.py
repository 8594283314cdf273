"""Parts, their fold and merge, and what is derived of a person: pure functions without I/O or clock."""
