"""This machine as a place to keep things: private directories, ports, processes, signals of Linux."""
