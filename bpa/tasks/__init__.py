"""Supervised tasks: what a network sees, and what it should have answered."""
