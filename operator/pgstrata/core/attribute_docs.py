"""The docstrings under a class's attributes, which Python itself throws away.

Read from the source when a schema is generated, and not when the classes are made, where pydantic's
use_attribute_docstrings would do it: parsing the source of every model took a tenth of each start
of the command line, which never shows them.
"""

import ast
import inspect
import textwrap
from itertools import pairwise


def attribute_docs(cls: type) -> dict[str, str]:
    """Map the attributes of `cls`, those it inherits too, to their docstrings.

    A class that was made without source has none; that the CRDs of this product have theirs is
    what `make lint` sees to.
    """
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] == cls.__module__.partition(".")[0]:
            docs |= _own_docs(base)
    return docs


def _own_docs(cls: type) -> dict[str, str]:
    try:
        source = inspect.getsource(cls)
    except OSError:
        return {}
    tree = ast.parse(textwrap.dedent(source))
    [body] = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    docs: dict[str, str] = {}
    for attribute, doc in pairwise(body):
        match attribute, doc:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = inspect.cleandoc(text)
    return docs
