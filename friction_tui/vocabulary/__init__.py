"""What every part may say: findings, recipes, messages between processes, units. Imports nothing heavy."""
