"""Apple's tree of podcast categories, and what feeds write for them.

Source: Apple, "Apple Podcasts categories" (podcasters.apple.com/support/1691). Names of the tree before
2019 are read as what Apple made of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SEPARATOR = " > "

TREE: dict[str, tuple[str, ...]] = {
    "Arts": ("Books", "Design", "Fashion & Beauty", "Food", "Performing Arts", "Visual Arts"),
    "Business": ("Careers", "Entrepreneurship", "Investing", "Management", "Marketing", "Non-Profit"),
    "Comedy": ("Comedy Interviews", "Improv", "Stand-Up"),
    "Education": ("Courses", "How To", "Language Learning", "Self-Improvement"),
    "Fiction": ("Comedy Fiction", "Drama", "Science Fiction"),
    "Government": (),
    "Health & Fitness": (
        "Alternative Health", "Fitness", "Medicine", "Mental Health", "Nutrition", "Sexuality",
    ),
    "History": (),
    "Kids & Family": ("Education for Kids", "Parenting", "Pets & Animals", "Stories for Kids"),
    "Leisure": (
        "Animation & Manga", "Automotive", "Aviation", "Crafts", "Games", "Hobbies", "Home & Garden",
        "Video Games",
    ),
    "Music": ("Music Commentary", "Music History", "Music Interviews"),
    "News": (
        "Business News", "Daily News", "Entertainment News", "News Commentary", "Politics", "Sports News",
        "Tech News",
    ),
    "Religion & Spirituality": (
        "Buddhism", "Christianity", "Hinduism", "Islam", "Judaism", "Religion", "Spirituality",
    ),
    "Science": (
        "Astronomy", "Chemistry", "Earth Sciences", "Life Sciences", "Mathematics", "Natural Sciences",
        "Nature", "Physics", "Social Sciences",
    ),
    "Society & Culture": (
        "Documentary", "Personal Journals", "Philosophy", "Places & Travel", "Relationships",
    ),
    "Sports": (
        "Baseball", "Basketball", "Cricket", "Fantasy Sports", "Football", "Golf", "Hockey", "Rugby",
        "Running", "Soccer", "Swimming", "Tennis", "Volleyball", "Wilderness", "Wrestling",
    ),
    "TV & Film": ("After Shows", "Film History", "Film Interviews", "Film Reviews", "TV Reviews"),
    "Technology": (),
    "True Crime": (),
}  # fmt: skip

_FORMER = {
    "Educational Technology": "Education", "Fitness & Nutrition": "Health & Fitness > Fitness",
    "Games & Hobbies": "Leisure", "Government & Organizations": "Government", "Health": "Health & Fitness",
    "Higher Education": "Education > Courses", "Language Courses": "Education > Language Learning",
    "Literature": "Arts > Books", "Management & Marketing": "Business > Management",
    "News & Politics": "News", "Outdoor": "Sports > Wilderness", "Science & Medicine": "Science",
    "Self-Help": "Education > Self-Improvement", "Sports & Recreation": "Sports",
    "Training": "Education > Courses",
}  # fmt: skip


def _plain(name: str) -> str:
    return re.sub(r"[\W_]|\band\b", "", name.lower())


_PATHS = {_plain(former): path for former, path in _FORMER.items()} | {
    _plain(name): path
    for top, subs in TREE.items()
    for name, path in [*((sub, f"{top}{SEPARATOR}{sub}") for sub in subs), (top, top)]
}


def apple_category(path: Sequence[str]) -> str | None:
    """The category of the tree that a written path (`["Society & Culture", "Documentary"]`) means.

    The most specific known name decides, so that one under a wrong parent is still understood; null: none is.
    """
    return next((_PATHS[_plain(name)] for name in reversed(path) if _plain(name) in _PATHS), None)
