"""What ranks do together, one idea a file: the schedules of `hpclab.schedules` executed for real."""
