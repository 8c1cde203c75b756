"""The worker stream as pure data: frames and commands in, frames and commands out."""
