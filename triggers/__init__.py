"""Lifecycle triggers: rules as data, `due` derived from the facts and marks of a person, and firing."""
