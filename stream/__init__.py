"""The stages of the pipeline, and what runs them."""
