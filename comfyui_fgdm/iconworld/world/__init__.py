"""The world that the embedded family is trained on: scenes, their drawing, truth and captions."""
