"""From labelled groups or plain pictures to training pairs of LR and target on the device."""
