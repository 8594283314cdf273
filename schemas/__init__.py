"""The contracts: events, settings, topics, profiles, and the values they are made of."""
