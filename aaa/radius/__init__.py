"""The RADIUS protocol: octets in, values out, values in, octets out."""
