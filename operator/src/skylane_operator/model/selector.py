"""Label selectors, as metav1 has them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from skylane_operator.model.base import SpecModel

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]


class LabelRequirement(SpecModel):
    """One entry of matchExpressions."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """As metav1.LabelSelectorRequirement: NotIn also holds where the label is absent."""
        present = self.key in labels
        if self.operator == "Exists":
            return present
        if self.operator == "DoesNotExist":
            return not present
        within = present and labels[self.key] in self.values
        return within if self.operator == "In" else not within


class LabelSelector(SpecModel):
    """A metav1.LabelSelector; an empty one selects everything."""

    match_labels: Annotated[dict[str, str], Field(max_length=64, default_factory=dict)]
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=64)] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when every requirement holds."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )
