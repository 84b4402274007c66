"""The doors between the parts of minigrad open downwards only: read from the sources, without importing them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "minigrad"

# A part imports from parts of its own rank or below. "" is minigrad/__init__.py, which gathers the public names.
RANKS = {
    "backends": 0,
    "dtypes": 0,
    "autograd": 1,
    "ops": 1,
    "cpu": 1,
    "printing": 1,
    "_tensor": 1,
    "amp": 2,
    "costs": 3,
    "cuda": 2,
    "doctor": 2,
    "io": 2,
    "nn": 2,
    "optim": 2,
    "testing": 2,
    "utils": 2,
    "vision": 3,
    "": 4,
}
# These speak Tensor, and leave the choice of a device to what is below them.
WITHOUT_BACKENDS = {"amp", "nn", "optim", "utils", "vision"}
MAY_IMPORT_NUMPY = (
    "minigrad.backends",
    "minigrad.dtypes",
    "minigrad.io",
    "minigrad.printing",
    "minigrad.testing",
    "minigrad.vision.datasets",
)
MAY_IMPORT_CUPY = ("minigrad.backends.cuda",)
# All else waits for its first use, so that `import minigrad` is cheap and works where they are missing.
HEAVY = {"PIL", "cupy", "matplotlib", "scipy", "threadpoolctl", "tqdm"}


@dataclass(frozen=True)
class Import:
    """One imported name, absolute and in full: `from ..ops import conv` in minigrad.nn.conv gives minigrad.ops.conv."""

    target: str
    line: int
    at_import: bool  # runs when the module is imported, not when one of its functions is called
    for_types_only: bool  # below `if TYPE_CHECKING:`


class ImportCollector(ast.NodeVisitor):
    def __init__(self, module: str, is_package: bool):
        self.package = module if is_package else module.rpartition(".")[0]
        self.function_depth = 0
        self.type_checking_depth = 0
        self.imports: list[Import] = []

    def add(self, target: str, node: ast.stmt | ast.expr) -> None:
        self.imports.append(Import(target, node.lineno, self.function_depth == 0, self.type_checking_depth > 0))

    def absolute(self, name: str, level: int) -> str:
        if level == 0:
            return name
        parts = self.package.split(".")
        return ".".join([*parts[: len(parts) - (level - 1)], *([name] if name else [])])

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        origin = self.absolute(node.module or "", node.level)
        for alias in node.names:
            self.add(f"{origin}.{alias.name}", node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            name = str(node.args[0].value)
            relative = name.lstrip(".")
            self.add(self.absolute(relative, len(name) - len(relative)), node)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for evaluated_at_import in [*node.decorator_list, node.args]:
            self.visit(evaluated_at_import)
        self.function_depth += 1
        for statement in node.body:
            self.visit(statement)
        self.function_depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self.function_depth += 1
        self.visit(node.body)
        self.function_depth -= 1

    def visit_If(self, node: ast.If) -> None:
        for_types_only = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        self.visit(node.test)
        self.type_checking_depth += for_types_only
        for statement in node.body:
            self.visit(statement)
        self.type_checking_depth -= for_types_only
        for statement in node.orelse:
            self.visit(statement)


def collect_imports(source: str, module: str, is_package: bool) -> list[Import]:
    collector = ImportCollector(module, is_package)
    collector.visit(ast.parse(source))
    return collector.imports


def part_of(name: str) -> str:
    """The part of minigrad a dotted name belongs to; names that minigrad/__init__.py defines belong to the part ""."""
    part = f"{name}.".split(".")[1]
    return part if part in RANKS else ""


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def find_violations(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Yields one line per import in `source`, the text of `module`, that breaks a rule."""
    if module != "minigrad" and module.split(".")[1] not in RANKS:
        yield f"{module}: {module.split('.')[1]!r} has no rank"
        return
    part = part_of(module)
    for found in collect_imports(source, module, is_package):
        where = f"{module}:{found.line}"
        top = found.target.split(".")[0]
        if top == "minigrad":
            target = part_of(found.target)
            if RANKS[target] > RANKS[part]:
                yield f"{where}: imports upwards: {found.target}"
            if target == "backends" and part in WITHOUT_BACKENDS:
                yield f"{where}: speaks Tensor only: {found.target}"
        if top == "cupy" and not is_within(module, MAY_IMPORT_CUPY):
            yield f"{where}: cupy outside its backend"
        if top == "numpy" and not found.for_types_only and not is_within(module, MAY_IMPORT_NUMPY):
            yield f"{where}: numpy outside the modules that may"
        if top in HEAVY and found.at_import and not found.for_types_only:
            yield f"{where}: {top} before it is needed"


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_opens_doors_downwards_only(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    assert list(find_violations(path.read_text(encoding="utf-8"), module, is_package)) == []


def test_every_rank_is_a_part():
    parts = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES}
    assert parts - {"__init__"} == set(RANKS) - {""}


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        # numpy and cupy
        ("minigrad.ops.conv", "import numpy as np", "numpy outside"),
        ("minigrad.ops.conv", "import numpy.linalg", "numpy outside"),
        ("minigrad._tensor", "from numpy import pi", "numpy outside"),
        ("minigrad._tensor", "from numpy.lib import stride_tricks", "numpy outside"),
        ("minigrad.autograd.engine", "def f():\n    import numpy", "numpy outside"),
        ("minigrad.nn.init", "class A:\n    def f(self):\n        from numpy import pi", "numpy outside"),
        ("minigrad.utils.data.loader", "np = __import__('numpy')", "numpy outside"),
        ("minigrad.optim.sgd", "import os, numpy", "numpy outside"),
        ("minigrad.vision.models.resnet", "try:\n    import numpy\nexcept ImportError:\n    pass", "numpy outside"),
        ("minigrad.vision.datasets_extra", "import numpy", "numpy outside"),
        (
            "minigrad._tensor",
            "if TYPE_CHECKING:\n    import numpy\nelse:\n    import numpy",
            "minigrad._tensor:4: numpy outside",
        ),
        ("minigrad.ops.conv", "def f():\n    import cupy", "cupy outside"),
        ("minigrad.backends.cpu.conv", "def f():\n    from cupy import ndarray", "cupy outside"),
        ("minigrad.backends.base", "if TYPE_CHECKING:\n    import cupy", "cupy outside"),
        ("minigrad.io.native", "def f():\n    return importlib.import_module('cupy')", "cupy outside"),
        # upwards
        ("minigrad.backends.cpu.conv", "from minigrad._tensor import Tensor", "imports upwards: minigrad._tensor.Tensor"),
        ("minigrad.backends.cpu.conv", "from ..._tensor import Tensor", "imports upwards: minigrad._tensor.Tensor"),
        ("minigrad.backends.base", "from ..ops import conv", "imports upwards: minigrad.ops.conv"),
        ("minigrad.backends.base", "from .. import autograd", "imports upwards: minigrad.autograd"),
        ("minigrad.backends.base", "import minigrad.ops.conv as c", "imports upwards: minigrad.ops.conv"),
        ("minigrad.backends.base", "if TYPE_CHECKING:\n    from minigrad._tensor import Tensor", "imports upwards"),
        ("minigrad.dtypes", "def f():\n    from minigrad import tensor", "imports upwards: minigrad.tensor"),
        ("minigrad.ops.loss", "def f():\n    from ..nn import functional", "imports upwards: minigrad.nn.functional"),
        ("minigrad.ops.loss", "f = lambda: import_module('..nn', __package__)", "imports upwards: minigrad.nn"),
        ("minigrad._tensor", "async def f():\n    import minigrad.optim", "imports upwards: minigrad.optim"),
        ("minigrad._tensor", "from .io import save", "imports upwards: minigrad.io.save"),
        ("minigrad.nn.module", "from minigrad.vision.models import resnet", "imports upwards: minigrad.vision"),
        ("minigrad.nn.module", "from minigrad import Tensor", "imports upwards: minigrad.Tensor"),
        ("minigrad.testing", "import minigrad as mg", "imports upwards: minigrad"),
        ("minigrad.vision.datasets", "from minigrad import *", "imports upwards: minigrad.*"),
        # past Tensor
        ("minigrad.nn.conv", "from minigrad.backends import cpu", "speaks Tensor only: minigrad.backends.cpu"),
        ("minigrad.nn.conv", "from .. import backends", "speaks Tensor only: minigrad.backends"),
        ("minigrad.optim.adam", "def f():\n    import minigrad.backends.base", "speaks Tensor only"),
        ("minigrad.utils.data.loader", "from ...backends.base import Backend", "speaks Tensor only"),
        ("minigrad.vision.models.vgg", "from ...backends import base", "speaks Tensor only"),
        # heavy
        *(
            ("minigrad.testing", source.format(heavy=heavy), f"{heavy} before it is needed")
            for heavy in sorted(HEAVY)
            for source in [
                "import {heavy}",
                "from {heavy}.part import name",
                "class A:\n    import {heavy}.part",
                "if True:\n    import {heavy}",
                "with suppress(ImportError):\n    import {heavy}",
                "def f(a=__import__('{heavy}')):\n    pass",
            ]
        ),
        ("minigrad.backends.cuda.arrays", "import cupy", "cupy before it is needed"),
        # neither here nor there
        ("minigrad.misc", "", "'misc' has no rank"),
    ],
)
def test_violation_is_caught(module, source, complaint):
    assert any(complaint in violation for violation in find_violations(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("minigrad.backends.base", "import numpy as np\nfrom minigrad.dtypes import float32\nfrom . import cpu"),
        ("minigrad.backends.cpu.conv", "from ..base import Backend\ndef f():\n    import threadpoolctl, scipy.fft"),
        ("minigrad.backends.cuda.arrays", "def f():\n    import cupy\n    return cupy.zeros"),
        ("minigrad.dtypes", "import numpy"),
        ("minigrad.ops.conv", "from ..autograd.function import Function\nfrom ..backends import base\nimport math"),
        ("minigrad.autograd.engine", "def f():\n    from minigrad import ops, _tensor"),
        ("minigrad._tensor", "from . import ops, backends\nif TYPE_CHECKING:\n    import numpy as np"),
        ("minigrad._tensor", "import typing\nif typing.TYPE_CHECKING:\n    from numpy import ndarray"),
        ("minigrad.nn.conv", "from ..ops import conv\nfrom .module import Module\nimport numbers"),
        ("minigrad.optim.adam", "from minigrad.nn import Parameter"),
        ("minigrad.testing", "import numpy as np\nfrom .backends import base\nif TYPE_CHECKING:\n    import scipy"),
        ("minigrad.vision.datasets", "import numpy as np\nfrom .. import io\nf = lambda: __import__('PIL')"),
        ("minigrad.vision.datasets.digits", "import numpy as np"),
        ("minigrad.vision.models.vgg", "from ...nn import Module\nfrom . import resnet"),
    ],
)
def test_permitted_import_is_not_caught(module, source):
    assert list(find_violations(source, module)) == []


def test_relative_imports_of_a_package_start_at_the_package():
    source = "from . import cpu\nfrom .. import tensor"
    assert list(find_violations(source, "minigrad.backends", is_package=True)) == [
        "minigrad.backends:2: imports upwards: minigrad.tensor"
    ]
    assert list(find_violations("from . import vision\nfrom .nn import Linear", "minigrad", is_package=True)) == []
    assert list(find_violations("import numpy", "minigrad", is_package=True)) != []
