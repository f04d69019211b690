"""Health checks of backends: probes, what follows from their outcomes, and what is told of it.

A probe's outcome changes a verdict (verdict.py), the verdicts say which of a listener's backends are sick, and those get
the weight 0 in the listener's file (checked.py): the forwarder gives them no new flows, their live ones go on.
"""
