"""What a prompt asks for and whether a map holds it: words to classes, recall, charts."""
