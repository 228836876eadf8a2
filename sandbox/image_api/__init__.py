"""The local image API: the document's contract to the letter, on good days and on bad ones."""

from __future__ import annotations

from sandbox.image_api.moods import CARDS, Mood, MoodCard
from sandbox.image_api.server import ImageApi
from sandbox.image_api.service import Post
from sandbox.image_api.tasks import Task

__all__ = ["CARDS", "ImageApi", "Mood", "MoodCard", "Post", "Task"]
