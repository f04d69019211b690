"""Skeletons to data: a template is filled in and parsed at once, so that no text leaves this layer."""

from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

# Values enter as JSON (`| tojson`), which is YAML: nothing a user writes can change the structure.
_TEMPLATES = Environment(
    loader=PackageLoader("skylane_operator.render"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - the result is YAML, not HTML
)


def filled(template: str, **values: object) -> dict[str, Any]:
    """The object that a skeleton becomes with these values."""
    document = yaml.safe_load(_TEMPLATES.get_template(f"{template}.yaml.j2").render(values))
    if not isinstance(document, dict):
        raise TypeError(f"template {template} is not one object")
    return document
