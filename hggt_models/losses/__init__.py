"""What training minimises, as pure tensor functions; weights between the losses belong to the caller."""
