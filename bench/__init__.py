"""Benchmarks: commands that measure what the documentation claims."""
