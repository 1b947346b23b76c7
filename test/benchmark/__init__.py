"""Measures the applet's counting beside other ways to count, each as a whole process."""
