"""Carries operations on, step by step, over clouds and guests; keeps nothing that a crash loses."""
