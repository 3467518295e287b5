"""Starts shells in terminals of their own, and measures them from outside."""
