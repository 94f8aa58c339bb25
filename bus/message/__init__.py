"""What travels: contact, reply, status, their ids, envelope and codec."""

from bus.message.codec import UnknownBody, clean_text, decode, decode_body, encode
from bus.message.contact import Attachment, BlobRef, Contact, Party, Proof, Quality, TextRange
from bus.message.envelope import envelope
from bus.message.ids import derive_id, derive_number, number_is_valid
from bus.message.reply import Reply, Status

__all__ = [
    "Attachment",
    "BlobRef",
    "Contact",
    "Party",
    "Proof",
    "Quality",
    "Reply",
    "Status",
    "TextRange",
    "UnknownBody",
    "clean_text",
    "decode",
    "decode_body",
    "derive_id",
    "derive_number",
    "encode",
    "envelope",
    "number_is_valid",
]
