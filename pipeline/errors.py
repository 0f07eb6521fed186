"""The exceptions that the pipeline raises on purpose.

    PipelineError                 anything below; the command line prints it as one paragraph, without a traceback
    ├── RecipeError               the recipe is wrong: file, line, path in it, reason and remedy
    ├── PlanError                 the recipe is well formed but cannot be carried out here (no such file, no column)
    ├── SourceError               an input that cannot be opened at all
    ├── StoreError                a stored file is missing, damaged, or of another version
    │   └── ModelError            a model file is missing or its sha256 is not the one that was pinned
    ├── WorkFolderLocked          a second driver on the same work folder
    ├── LostRows                  rows in != rows out + rows dropped: a bug, never a warning
    ├── ReleaseExists             the same name@version holds other content
    ├── PublishError              a release that cannot be published, or not as it was asked
    └── TaskFailed                a task failed for a reason that a retry does not mend

Everything else (a KeyError, say) is a bug and shows its traceback.
"""


class PipelineError(Exception):
    """Base of all errors that are meant for the user. The message is a whole paragraph: what, where, and what would do."""


class RecipeError(PipelineError):
    """A fault of the recipe, found before the first document."""


class PlanError(PipelineError):
    """A recipe that is well formed but cannot be carried out here."""


class SourceError(PipelineError):
    """An input that cannot be opened at all (a record that cannot be read goes to the ledger instead)."""


class StoreError(PipelineError):
    """A stored file that is missing, damaged, or written by another version."""


class ModelError(StoreError):
    """A model whose file is missing or whose sha256 differs from the pinned one."""


class WorkFolderLocked(PipelineError):
    """Another driver is at work in this work folder."""


class LostRows(PipelineError):
    """Rows in are not rows out plus rows dropped."""


class ReleaseExists(PipelineError):
    """A release of this name and version exists and holds other content."""


class PublishError(PipelineError):
    """A release that cannot be published: what the Hub refuses, what is missing here, what somebody else changed meanwhile."""


class TaskFailed(PipelineError):
    """A task failed for a reason that a retry does not mend."""
