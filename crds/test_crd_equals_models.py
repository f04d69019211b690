"""The CRD's schema and the pydantic models say the same, both ways: fields, types, required, defaults, enums, bounds."""

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from skylane_operator.model.bgp_peer import BGPPeerSpec
from skylane_operator.model.load_balancer import LoadBalancerSpec, LoadBalancerStatus
from skylane_operator.model.virtual_ip_pool import VirtualIPPoolSpec, VirtualIPPoolStatus


def schema_in(file):
    crd = yaml.safe_load((Path(__file__).parent / file).read_text())
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


SCHEMA = schema_in("loadbalancer.yaml")
PEER_SCHEMA = schema_in("bgppeer.yaml")
POOL_SCHEMA = schema_in("virtualippool.yaml")

# What only one of the two languages can say, or says for its readers.
PROSE = {"description", "title"}
KUBERNETES_ONLY = {"x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations"}


def schema_of_model(model):
    schema = TypeAdapter(model).json_schema(by_alias=True, mode="validation")
    return normal(schema, schema.get("$defs", {}))


def normal(schema, definitions):
    """One form for both: references resolved, `null` alternatives dropped, sets sorted, empty defaults absent."""
    schema = _resolved(schema, definitions)
    plain = {key: value for key, value in schema.items() if key not in PROSE | KUBERNETES_ONLY | {"$defs"}}
    if "properties" in plain:
        plain["properties"] = {name: normal(part, definitions) for name, part in plain["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = normal(plain[key], definitions)
    for key in ("required", "enum"):
        if key in plain:
            plain[key] = sorted(plain[key])
    # Pydantic writes the filled-in default of an object, the CRD an empty one that is filled in field by field.
    if plain.get("type") in {"object", "array"}:
        plain.pop("default", None)
    # The CRD is structural: unknown fields are pruned or refused, whatever the model does with them.
    if plain.get("additionalProperties") in (True, False):
        del plain["additionalProperties"]
    return plain


def _resolved(schema, definitions):
    if "anyOf" in schema:
        (only,) = [option for option in schema["anyOf"] if option.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
        return _resolved({**only, **rest}, definitions)
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _resolved(
            {**definitions[name], **{k: v for k, v in schema.items() if k != "$ref"}}, definitions
        )
    if schema.get("default") is None:
        return {key: value for key, value in schema.items() if key != "default"}
    return schema


@pytest.mark.parametrize(
    ("part", "model"),
    [
        (SCHEMA["spec"], LoadBalancerSpec),
        (SCHEMA["status"], LoadBalancerStatus),
        (PEER_SCHEMA["spec"], BGPPeerSpec),
        (POOL_SCHEMA["spec"], VirtualIPPoolSpec),
        (POOL_SCHEMA["status"], VirtualIPPoolStatus),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_schema(part, model):
    assert normal(part, {}) == schema_of_model(model)


def test_defaults_of_objects_and_lists_are_those_of_the_models():
    dataplane = {
        "hugepages": {"total": "256Mi"},
        "localAddresses": ["10.0.0.9"],
        "networks": [
            {
                "name": "a",
                "networkAttachment": "a",
                "resourceName": "a/b",
                "driver": "vfio",
                "addresses": ["10.0.0.2/24"],
                "gateway": "10.0.0.1",
            }
        ],
    }
    listener = {"name": "a", "vip": "10.1.0.1", "port": 1, "backends": [{"service": "a", "port": 1}]}
    spec = {"dataplane": dataplane, "listeners": [listener]}
    filled = with_defaults(SCHEMA["spec"], spec)
    model = LoadBalancerSpec.model_validate(spec)
    assert filled == model.model_dump(mode="json", by_alias=True, exclude_none=True)


def with_defaults(schema, value):
    """Defaulting as the API server does it (apiextensions.k8s.io/v1)."""
    if schema["type"] == "object" and "properties" in schema:
        filled = dict(value)
        for name, part in schema["properties"].items():
            if name not in filled and "default" in part:
                filled[name] = part["default"]
            if name in filled:
                filled[name] = with_defaults(part, filled[name])
        return filled
    if schema["type"] == "array":
        return [with_defaults(schema["items"], item) for item in value]
    return value


def test_every_field_is_described():
    schemas = [schema[part] for schema in (SCHEMA, POOL_SCHEMA) for part in ("spec", "status")]
    schemas.append(PEER_SCHEMA["spec"])
    assert [path for schema in schemas for path in undescribed(schema, "")] == []


def undescribed(schema, path):
    if not schema.get("description"):
        yield path
    for name, part in schema.get("properties", {}).items():
        yield from undescribed(part, f"{path}.{name}")
    if "items" in schema:
        yield from undescribed(schema["items"], f"{path}[]")
