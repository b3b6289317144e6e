"""Bytes to records and back. What cannot be a request event is refused with a reason, never dropped in silence."""
