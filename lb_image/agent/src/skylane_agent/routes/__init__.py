"""Which VIPs the pod announces, and how a routing daemon beside it (BIRD) is told to.

What listeners are up to decides which VIPs packets may be attracted for (vips.py); those and the peers that the operator names
become the daemon's configuration (bird_config.py), which is loaded through its control socket (bird.py, announcer.py).
"""
