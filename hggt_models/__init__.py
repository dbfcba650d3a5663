"""Networks, degradations and training for HGGT."""
