"""The edge: inputs of every kind become accepted events in order, or dead letters."""
