"""How a version comes to be: by HTTP, whose requests share commits, and by the events of training runs."""
