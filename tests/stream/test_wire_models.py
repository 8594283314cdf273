"""What the stages write to each other is what the published models say."""

from identity.changes import Move
from profiles.part import Part
from schemas import messages
from schemas.decode import accepted_data_struct
from schemas.event import Event, Source
from stream.messages import Advance, PartChange, PartTransfer, Request, Routed
from stream.wire import decode, encode

DATA = accepted_data_struct("ticket.opened")(ticket_id="t1")
EVENT = Event("e1", "ticket.opened", 5, ("phone:+8613912345678",), DATA, Source("events.ticket", 1, 2, 3, 4))


def test_each_message_fits_its_model_and_reads_back_the_same() -> None:
    part = Part("phone:+8613912345678")
    for message, model in (
        (Routed("one", EVENT), messages.IdentifiedEvent),
        (Request(EVENT), messages.IdentityRequest),
        (PartChange(3, 5, [Move("phone:+8613912345678", None, "one")]), messages.EventCommand),
        (PartTransfer(3, "one", part), messages.PartMoved),
        (Advance(7), messages.ClockMoved),
    ):
        value = encode(message)
        told = model.model_validate_json(value)
        assert not [name for name in told.model_extra or {} if name != "one_id"]
        assert decode(value) == message
