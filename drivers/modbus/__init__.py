"""Door hardware over Modbus."""
