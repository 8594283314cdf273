"""What the commands about one person share: the options `KIND:VALUE` and `--from`, and finding the person."""

from pathlib import Path

import click

from identity.normalise import Normaliser
from identity.policy import Policy
from lake.reading import Folder
from schemas.errors import ConfigError, InvalidEvent

ident_argument = click.argument("identifier", metavar="KIND:VALUE")
from_option = click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that kith replay or kith demo wrote.",
)


def find(folder: Folder, text: str) -> tuple[str, str]:
    """Return the normalised identifier and the OneID of who holds it.

    Raises ConfigError for a text that is no usable identifier, and for one that nobody holds.
    """
    kind, colon, value = text.partition(":")
    policy = Policy.from_settings(folder.settings)
    if not colon or kind not in policy.place:
        raise ConfigError(f"{text}: name an identifier as KIND:VALUE, KIND being one of {', '.join(policy.kinds)}")
    try:
        ident = Normaliser(policy).one(kind, value)
    except InvalidEvent as error:
        raise ConfigError(f"{text}: {error.detail}") from None
    if ident is None:
        raise ConfigError(f"{text}: is not a usable {kind}: invalid, or blocked because it identifies nobody")
    one_id = folder.one_id(ident)
    if one_id is None:
        raise ConfigError(f"{text}: no event in {folder.path} carried {ident}")
    return ident, one_id
