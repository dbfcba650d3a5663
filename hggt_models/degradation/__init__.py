"""How low-resolution pictures are made from good ones."""
