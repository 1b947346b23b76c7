"""Fuzzing: how often does damage to a BAM or CRAM or its index go unnoticed in the counts?"""
