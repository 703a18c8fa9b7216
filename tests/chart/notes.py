"""The chart's notes, as a user reads them: what of them is to be pasted."""


def commands(notes: str) -> tuple[str, str]:
    """The commands as they stand there: for the first resources, and for the end."""
    paragraphs = notes.split("\n\n")
    first, last = (each for each in paragraphs if each.lstrip().startswith("kubectl "))
    assert "kubectl apply" in first
    assert "helm uninstall" in last
    return first, last
