"""Write docs/reference.md from the CRDs. Run without arguments; crds/test_reference.py holds the two equal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs/reference.md"
HEAD = """\
<!-- Generated from crds/*.yaml by tools/reference.py; do not edit. -->
# Every field

Fields in **bold** are required. The API server refuses what breaks a constraint or a rule, and names the field.
"""
CRDS = ("loadbalancer.yaml", "virtualippool.yaml", "bgppeer.yaml")

Schema = dict[str, Any]


def reference() -> str:
    """The whole document."""
    return "\n".join([HEAD, *(part for file in CRDS for part in _kind(ROOT / "crds" / file))])


def _kind(file: Path) -> Iterator[str]:
    spec = yaml.safe_load(file.read_text())["spec"]
    names, version = spec["names"], spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    kind, group = names["kind"], f"{spec['group']}/{version['name']}"
    yield f"## {kind}\n\n`{group}`, {spec['scope'].lower()}, short name `{names['shortNames'][0]}`. {schema['description']}\n"
    for name in [part for part in ("spec", "status") if part in schema["properties"]]:
        rows = "\n".join(_rows(schema["properties"][name], name))
        yield (
            f"### {kind}: {name}\n\n| field | type | default | constraints | meaning |\n|---|---|---|---|---|\n{rows}\n"
        )
    rules = "\n".join(f"- {message}" for message in _rules(schema))
    yield f"### {kind}: rules\n\n{rules}\n"


def _rows(schema: Schema, path: str) -> Iterator[str]:
    required = schema.get("required", [])
    for name, part in schema.get("properties", {}).items():
        field = f"{path}.{name}"
        shown = f"**`{field}`**" if name in required else f"`{field}`"
        default = f"`{part['default']}`" if part.get("default") not in (None, {}, [], "") else ""
        yield f"| {shown} | {_type(part)} | {default} | {_constraints(part)} | {part['description']} |"
        yield from _rows(part, field)
        yield from _rows(part.get("items", {}), f"{field}[]")


def _type(schema: Schema) -> str:
    if schema["type"] == "array":
        return f"list of {schema['items']['type']}"
    return "map of strings" if "additionalProperties" in schema else str(schema["type"])


def _constraints(schema: Schema) -> str:
    items = schema.get("items", {})
    found = [_range(schema, "minimum", "maximum", ""), _range(schema, "minItems", "maxItems", " entries")]
    found += [_choice(schema), _pattern(schema), _pattern(items) and f"each {_pattern(items)}"]
    return "; ".join(text for text in found if text)


def _range(schema: Schema, low: str, high: str, unit: str) -> str:
    if high not in schema:
        return ""
    return f"{schema.get(low, 0)} to {schema[high]}{unit}"


def _choice(schema: Schema) -> str:
    return " or ".join(f"`{value}`" for value in schema.get("enum", []))


def _pattern(schema: Schema) -> str:
    # A bar would end the table's cell.
    return f"`{schema['pattern']}`".replace("|", "\\|") if "pattern" in schema else ""


def _rules(schema: Schema) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
    for part in [*schema.get("properties", {}).values(), schema.get("items")]:
        if part:
            yield from _rules(part)


if __name__ == "__main__":
    REFERENCE.write_text(reference())
