"""Damaged BAMs and indexes: how often does a count come out wrong without a word?"""
