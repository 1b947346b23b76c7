"""Benchmarks the applet's counting against other tools, each as a complete process."""
