"""I/O: everything that is read from and written to the Kubernetes API."""
