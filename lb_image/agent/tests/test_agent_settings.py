import pytest
from pydantic import ValidationError

from skylane_agent.errors import SettingsError
from skylane_agent.settings import AgentSettings, settings_from

ENVIRONMENT = {
    "SKYLANE_OPERATOR_ADDRESS": "10.96.0.7:9443",
    "SKYLANE_OPERATOR_SERVER_NAME": "skylane-operator.skylane.svc",
    "SKYLANE_TOKEN_FILE": "/run/token",
    "SKYLANE_CA_FILE": "/run/ca.crt",
    "POD_NAME": "demo-skylane-0",
    "POD_NAMESPACE": "default",
    "SKYLANE_LOADBALANCER": "demo",
}


def test_defaults_are_those_of_the_contract():
    settings = settings_from(ENVIRONMENT)
    assert str(settings.config_dir) == "/run/skylane/config"
    assert str(settings.control_socket) == "/run/skylane/control.sock"
    assert settings.http_port == 8081


def test_every_missing_variable_is_named():
    with pytest.raises(SettingsError) as caught:
        settings_from({})
    assert {part.split()[0] for part in str(caught.value).split("; ")} == set(ENVIRONMENT)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SKYLANE_OPERATOR_ADDRESS", "10.96.0.7"),
        ("SKYLANE_OPERATOR_ADDRESS", "http://10.96.0.7:9443"),
        ("SKYLANE_OPERATOR_SERVER_NAME", "not a name"),
        ("SKYLANE_TOKEN_FILE", "token"),
        ("SKYLANE_CONFIG_DIR", "config"),
        ("SKYLANE_HTTP_PORT", "70000"),
        ("SKYLANE_HTTP_PORT", "http"),
        ("POD_NAME", "../escape"),
    ],
)
def test_a_wrong_variable_is_named_alone(variable, value):
    with pytest.raises(SettingsError, match=rf"^{variable}: [^;]+$"):
        settings_from(ENVIRONMENT | {variable: value})


def test_an_empty_variable_counts_as_unset():
    with pytest.raises(SettingsError, match="POD_NAME must be set"):
        settings_from(ENVIRONMENT | {"POD_NAME": ""})


def test_variables_that_kubernetes_adds_are_passed_over():
    settings_from(ENVIRONMENT | {"SKYLANE_OPERATOR_SERVICE_HOST": "10.96.0.7"})


def test_unknown_fields_are_refused():
    known = settings_from(ENVIRONMENT).model_dump()
    with pytest.raises(ValidationError, match="colour"):
        AgentSettings(**known, colour="blue")
