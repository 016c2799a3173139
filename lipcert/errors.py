"""What goes wrong with a user's input: one base class and its few children."""


class LipcertError(Exception):
    """A user's input that lipcert cannot work with; the message says what to do."""


class BadFile(LipcertError):
    """A model or data file that is malformed, truncated or unsafe to read."""


class BadInput(LipcertError):
    """Inputs or a region that do not fit the network: shape, range or non-finite rows."""


class NotFinite(LipcertError):
    """A NaN or an infinity where a proof needs a number."""


class Mismatch(LipcertError):
    """Two networks whose inputs or outputs differ in shape."""


class UnsupportedOp(LipcertError):
    """An operation that the reader or a method has no rule for."""


class OutOfReach(LipcertError):
    """A drift that no allocation of bits is proved to stay within."""


class OutOfMemory(LipcertError):
    """An allocation that failed; the message says during what, and what to change."""


class Unsound(LipcertError):
    """An observed value outside a proved bound: a bug in lipcert, never to be ignored."""


class MissingPackage(LipcertError):
    """An optional package that is not installed; the message says how to install it."""
