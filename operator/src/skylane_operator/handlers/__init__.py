"""What wakes the reconciler: events in, dirty keys out, nothing else."""
