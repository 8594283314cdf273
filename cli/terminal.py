"""A console that ends like every other output when nobody reads it any more."""

from rich.console import Console


class Terminal(Console):
    """Raises BrokenPipeError, which ends a command quietly, where rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Pass the broken pipe on."""
        raise BrokenPipeError
