"""Loop, Scan and If: what their bodies may not do."""
