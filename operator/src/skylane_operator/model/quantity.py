"""Kubernetes quantities (k8s.io/apimachinery/pkg/api/resource) as integers."""

import re
from decimal import ROUND_CEILING, Decimal

_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)")


def _decimal_of(text: str) -> Decimal:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity such as 500m, 2 or 256Mi")
    number, exponent, suffix = match.groups()
    if exponent is not None:
        return Decimal(number).scaleb(int(exponent))
    return Decimal(number) * _SUFFIXES[suffix or ""]


def _rounded_up(value: Decimal) -> int:
    # Kubernetes rounds up too: a fraction of a unit still needs the unit.
    return int(value.to_integral_value(rounding=ROUND_CEILING))


def units_of(text: str | int) -> int:
    """Whole units (bytes of memory, pieces of a device). Raises ValueError if `text` is no quantity."""
    return _rounded_up(_decimal_of(str(text)))


def millicores_of(text: str | float) -> int:
    """Thousandths of a CPU. Raises ValueError if `text` is no quantity."""
    return _rounded_up(_decimal_of(str(text)) * 1000)


_MEBIBYTE = 1 << 20


def binary_text(size_bytes: int) -> str:
    """The size in whole Mi if it is a multiple, else in bytes, as Kubernetes reads it back."""
    return f"{size_bytes // _MEBIBYTE}Mi" if size_bytes % _MEBIBYTE == 0 else str(size_bytes)
