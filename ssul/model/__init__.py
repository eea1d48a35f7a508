"""The network that grows with its classes; knows no pictures, label meanings or class names."""
