"""The stages of the live pipeline, by name; apart from them, as a command that names them need not load them all."""

STAGES = ("identify", "resolve", "profile", "control", "lake")
"""What a worker can run; `control` is the low-volume work: commands, alarms, webhooks."""

FOLLOWING = frozenset({"identify", "resolve", "profile"})
"""The stages beside which a worker keeps a copy of the identity graph."""
