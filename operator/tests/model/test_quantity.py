import pytest

from skylane_operator.model.quantity import binary_text, millicores_of, units_of


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("2", 2),
        (3, 3),
        ("256Mi", 256 << 20),
        ("1Gi", 1 << 30),
        ("1.5Ki", 1536),
        ("2k", 2000),
        ("1e3", 1000),
        ("500m", 1),
    ],
)
def test_units(text, units):
    assert units_of(text) == units


@pytest.mark.parametrize(
    ("text", "millicores"),
    [("2", 2000), ("500m", 500), ("0.1", 100), (0.25, 250), ("1u", 1), ("3900m", 3900)],
)
def test_millicores(text, millicores):
    assert millicores_of(text) == millicores


@pytest.mark.parametrize("text", ["", "Mi", "1Zi", "one", "1 Mi", "--1", "0x10"])
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match="is not a Kubernetes quantity"):
        units_of(text)


@pytest.mark.parametrize("size_bytes", [0, 1, 1 << 20, 5 << 30, (1 << 20) + 1])
def test_text_reads_back(size_bytes):
    assert units_of(binary_text(size_bytes)) == size_bytes
