"""The image API: what Qwen-Image-2512 can be asked, how it answers, and how its images are downloaded.

Knows the service's document and nothing of Discord, credits or the database.
"""
