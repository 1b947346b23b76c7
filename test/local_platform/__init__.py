"""A stand-in for the DNAnexus platform, to which the real `dx` and dxpy talk on loopback."""

from .platform import LocalPlatform

__all__ = ["LocalPlatform"]
