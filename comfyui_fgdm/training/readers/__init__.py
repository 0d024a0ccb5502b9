"""Training data as published: one file a format, each giving examples whose pictures, labels and keypoints are read when needed."""
