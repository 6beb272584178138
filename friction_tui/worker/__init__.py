"""The process boundary: client (spawn, talk, kill), host (protocol to session), jobs (one killable process each)."""
