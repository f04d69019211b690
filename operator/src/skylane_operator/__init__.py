"""Kubernetes operator of Skylane: reads LoadBalancers, decides, renders, pushes, reports."""
