"""By which rule? Pure: no clock, no IO, no asyncio."""
