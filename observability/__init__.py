"""What the process says about itself: the log, with secrets masked and repeated lines left out."""
