"""Receives and decodes the messages of shells and zdeferctl."""
