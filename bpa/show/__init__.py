"""What is to be seen: pictures, learning curves, films, and figures that live in a page."""
