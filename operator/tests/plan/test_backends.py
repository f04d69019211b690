from operator_support import endpoint_slice

from skylane_operator.model.kubernetes import EndpointSlice, ServicePort
from skylane_operator.plan.backends import ready_endpoints


def test_address_that_is_none_is_left_out_and_the_others_stay():
    piece = EndpointSlice.model_validate(endpoint_slice("default", "web", "010.0.0.5", "10.0.0.6"))
    port = ServicePort.model_validate({"name": "p80", "port": 80, "protocol": "TCP"})
    assert ready_endpoints([piece], port) == {("10.0.0.6", 8080)}
