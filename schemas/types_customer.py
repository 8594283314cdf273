"""What the customer events say: who they are, what they agreed to and answered, and a steward's commands."""

from typing import Any

from pydantic import Field

from schemas.fields import Answer, Data, Delta, FieldError, Model, Name, Scale, Text, TextOrInteger

DEFAULT_SCALE = 10.0


class CustomerIdentified(Data):
    """Something is known about a customer; each trait replaces what was known before."""

    traits: dict[str, Any] | None = Field(default=None, description="Free names and values: birthday, timezone, city.")


class CustomerConsented(Data):
    """Consent was given or withdrawn."""

    purpose: Name = Field(description="For what: marketing, service.")
    granted: bool = Field(description="True: given; false: withdrawn.")
    channel: Text | None = Field(default=None, description="For which channel; without one, for all.")
    notice_version: TextOrInteger | None = Field(default=None, description="The notice that was shown.")


class SurveyAnswered(Data):
    """A survey was answered."""

    survey: Name = Field(description="Which survey; `nps` gives the NPS group.")
    score: Answer = Field(description="The answer, from 0 to `scale`.")
    scale: Scale | None = Field(default=None, description="The highest possible score; 10 when left out.")
    text: Text | None = Field(default=None, description="What was said beside it.")

    @staticmethod
    def complete(data: Any) -> None:
        """Fill in the scale and hold the score to it."""
        if data.scale is None:
            data.scale = DEFAULT_SCALE
        if data.score > data.scale:
            raise FieldError("score", f"must be a number from 0 to {data.scale:g}")


class PointsChanged(Data):
    """Loyalty points were earned or spent."""

    delta: Delta = Field(description="How many, negative when spent.")
    reason: Text | None = Field(default=None, description="For what, in words.")


class CustomerCheckedIn(Data):
    """The customer signed in for the day."""


class _Message(Data):
    """About a message of ours."""

    channel: Text | None = Field(default=None, description="Through which channel.")
    trigger_id: Text | None = Field(default=None, description="The trigger's firing that caused it.")


class MessageSent(_Message):
    """A message went out."""


class MessageOpened(_Message):
    """A message was opened."""


class MessageClicked(_Message):
    """A link in a message was followed."""


class End(Model):
    """One end of a steward's pair: an identifier."""

    kind: Text = Field(description="The identifier's kind.")
    value: TextOrInteger = Field(description="Its value.")


class CustomerLinked(Data):
    """A steward says that two identifiers belong to one person."""

    a: End = Field(description="One identifier.")
    b: End = Field(description="The other one.")
    reason: Text | None = Field(default=None, description="Why, in words.")


class CustomerUnlinked(CustomerLinked):
    """A steward says that two identifiers do not belong to one person."""
