"""The local platform: an emulation of the DNAnexus API on loopback, for the real `dx` and dxpy."""

from .server import LocalPlatform

__all__ = ["LocalPlatform"]
