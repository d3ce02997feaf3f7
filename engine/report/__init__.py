"""What people read: the summary of a forecast, the tables of knobs and risks."""
