"""The audit: people, profiles and triggers worked out again from the lake's raw facts, and compared."""
