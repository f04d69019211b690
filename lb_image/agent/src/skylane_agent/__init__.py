"""Agent of Skylane: runs beside the forwarder and keeps its configuration current."""
