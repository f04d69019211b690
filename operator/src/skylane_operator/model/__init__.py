"""Our resource, the fields that we read of Kubernetes' own kinds, and the forwarder's file format. Types only."""
