"""I/O: the gRPC server that the agents of the forwarder pods dial."""
