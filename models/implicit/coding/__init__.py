# SPDX-License-Identifier: Apache-2.0
"""How the tensors of a representation become bytes: a paper's own scheme, or learned steps with a learned prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvcodec.models.implicit.recipe import Recipe

SCHEMES = ("paper", "learned", "own")  # places are the numbers that stand in the stream; own: the recipe's class


def scheme_class(name: str, recipe: Recipe) -> Any:
    """The coding of a name for a recipe; UsageError when the recipe has none of its own."""
    from nvcodec.errors import UsageError

    if name == "paper":
        from nvcodec.models.implicit.coding.paper import PaperScheme

        return PaperScheme
    if name == "learned":
        from nvcodec.models.implicit.coding.learned import LearnedScheme

        return LearnedScheme
    own = getattr(recipe, "coding", None)
    if name != "own" or own is None:
        raise UsageError(f"recipe {recipe.name} has no weights coding {name!r}; there are paper and learned")
    return own
