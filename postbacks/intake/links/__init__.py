"""② Tracking links: the device, the parameters, and the destination of a click."""
