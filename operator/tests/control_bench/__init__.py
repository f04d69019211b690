"""`make bench-control`: how fast the control plane is, on a real API server, with real gRPC and a real forwarder."""

import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
# The parts of a cluster, and the world of the reconcile tests.
sys.path[:0] = [str(_TESTS.parents[1] / "e2e"), str(_TESTS / "reconcile")]
