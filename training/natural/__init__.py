"""Trains a reasoner that ends on chains of its own: see README.md beside this file."""
