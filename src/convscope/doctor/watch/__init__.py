"""The doctor beside a training that is under way: it looks on, and raises alarms."""

from convscope.doctor.watch.listener import Watch

__all__ = ["Watch"]
