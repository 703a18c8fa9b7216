"""Starts the operator anew whenever it has ended, as a Deployment does."""

from dataclasses import dataclass, field

from tests.testbed.operator_process import OperatorProcess
from tests.testbed.operator_site import OperatorSite


@dataclass
class Deployment:
    """One replica; `tend` it while waiting for anything."""

    site: OperatorSite
    settings: dict[str, str] = field(default_factory=dict)
    exits: list[int] = field(default_factory=list)
    """The exit status of each process that has ended."""

    def __post_init__(self) -> None:
        self.operator: OperatorProcess = self.site.start(self.settings)

    def tend(self) -> None:
        """Replace the process if it has ended."""
        if not self.operator.process.alive:
            self.exits.append(self.operator.process.wait(10.0))
            self.operator = self.site.start(self.settings)
