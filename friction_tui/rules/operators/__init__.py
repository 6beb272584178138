"""Operators the engine refuses, cannot build, or had not in older releases, and the tables that say so."""
