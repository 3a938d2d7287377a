"""What readers stumble over: to be put anywhere into a file."""

_DEEP = ("[" * 3000, "{" * 900, '{"a":' * 900)
_NUMBERS = ("nan", "inf", "-1", "1e999", "9" * 30, "9" * 5000, "0x" + "f" * 5000, "2026-99-99", "1:2:3")
_SIGNS = ("\0", "\r", "\n", '"', "'", ",", ":", "{}", "[[", "? ", "- ", "\u2028", "\x1b[31m", "../../x", "/etc/passwd")
_YAML = ("true", "null", "&a [*a, *a]", "<<: *a", "!!python/object/apply:os.system [id]", "!!binary x")
WORDS = tuple(word.encode() for word in (*_DEEP, *_NUMBERS, *_SIGNS, *_YAML))
"""For files of text."""

LENGTHS = (b"\0" * 8, b"\xff" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\1")
"""Numbers at the edge of what they may be, in both orders of bytes."""
