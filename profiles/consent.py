"""Consent: the latest word over the person's parts that covers a purpose and a channel."""

from collections.abc import Sequence

from profiles.part import Part, Word

SERVICE = "service"
"""The one purpose that needs no word."""

Words = dict[str, dict[str, Word]]
"""By purpose and channel; '' is the word for all channels."""


def join_words(parts: Sequence[Part]) -> Words:
    """Return the latest word of each purpose and channel. With one part: its own words, not to be changed."""
    if len(parts) == 1:
        return parts[0].consent or {}
    joined: Words = {}
    for part in parts:
        for purpose, words in (part.consent or {}).items():
            known = joined.setdefault(purpose, {})
            for channel, word in words.items():
                if channel not in known or word > known[channel]:
                    known[channel] = word
    return joined


def covers(words: Words, purpose: str, channel: str) -> bool:
    """Say whether the purpose may be served over one channel, or, with '', over a channel that no word names."""
    word = deciding(words, purpose, channel)
    return purpose == SERVICE if word is None else not word[1]


def deciding(words: Words, purpose: str, channel: str) -> Word | None:
    """Return the word that decides on a purpose and channel ('': one that no word names), None without a word."""
    said = words.get(purpose)
    if said is None:
        return None
    general = said.get("")
    special = said.get(channel)
    return general if special is None or (general is not None and general > special) else special


def allows(words: Words, purpose: str, channel: str | None) -> bool:
    """Say whether the purpose may be served over the channel; for None: over any."""
    if channel is not None:
        return covers(words, purpose, channel)
    return covers(words, purpose, "") or any(covers(words, purpose, named) for named in words.get(purpose, ()))


def channels(words: Words, purpose: str) -> list[str]:
    """Return the channels named in words of the purpose over which it may be served, in alphabetical order."""
    return sorted(named for named in words.get(purpose, ()) if named and covers(words, purpose, named))


def as_map(words: Words) -> dict[str, bool]:
    """Return each word as it stands: `purpose` or `purpose:channel` to whether that may be served."""
    return {
        f"{purpose}:{channel}" if channel else purpose: covers(words, purpose, channel)
        for purpose in sorted(words)
        for channel in sorted(words[purpose])
    }
