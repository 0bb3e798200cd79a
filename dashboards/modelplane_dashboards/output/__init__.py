"""The files of boards: their exact bytes, writing them, and comparing them with what is elsewhere."""
