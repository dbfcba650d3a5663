"""How low-resolution images are made from good ones."""
