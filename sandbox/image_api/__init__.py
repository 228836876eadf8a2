"""A local image API that follows the service's document, and that can be told to misbehave."""

from __future__ import annotations

from sandbox.image_api.api import ImageApi, Post
from sandbox.image_api.moods import CARDS, Mood, MoodCard
from sandbox.image_api.routes import API_PATH, attach_image_api
from sandbox.image_api.tasks import Task

__all__ = ["API_PATH", "CARDS", "ImageApi", "Mood", "MoodCard", "Post", "Task", "attach_image_api"]
