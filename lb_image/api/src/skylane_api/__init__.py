"""Generated stubs of the operator-agent contract (lb_image/api/forwarder)."""
