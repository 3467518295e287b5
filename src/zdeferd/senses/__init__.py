"""What do conditions depend on, and when has it changed?"""
