"""Findings and measurements as text, JSON, SARIF, JUnit and Markdown."""
