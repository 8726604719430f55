"""Which Ed25519 public keys prove something: those that are points of the curve, written in one way, of large order.

A point of small order fits signatures that anyone can make (RFC 8032, section 5.1; "Taming the many EdDSAs", 2020).
"""

PUBLIC_KEY_BYTES = 32

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y_BITS = 2**255 - 1
_Y_OF_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_Y_OF_SMALL_ORDER = frozenset({0, 1, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8, _P - 1})


def why_unusable(public_key: bytes) -> str | None:
    """Why a public key proves nothing, as the end of a sentence that begins with "it is"; None when it does."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        return f"not {PUBLIC_KEY_BYTES} bytes"
    number = int.from_bytes(public_key, "little")
    y, is_odd = number & _Y_BITS, number > _Y_BITS
    if y % _P in _Y_OF_SMALL_ORDER:
        return "a point of small order: anyone can make signatures that fit it"
    if y >= _P:
        return "not in canonical form: another text stands for the same key"
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(x_squared, (_P - 1) // 2, _P) != 1:
        return "no point of the curve"
    return "not in canonical form" if x_squared == 0 and is_odd else None
