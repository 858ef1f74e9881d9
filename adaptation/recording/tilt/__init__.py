"""How a static camera hangs: its pitch and roll, given by a user or a calibration or estimated from a recording."""
