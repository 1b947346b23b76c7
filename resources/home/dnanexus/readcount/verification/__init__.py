"""Verification: merged counts and evidence -> `VerifiedCounts`, or an error. Pure."""
