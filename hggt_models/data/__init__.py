"""From labelled groups or plain pictures to pairs of LR and target on the device."""
