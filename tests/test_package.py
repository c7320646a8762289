"""The package as a whole: what importing costs, what the names are, whether the examples in the docstrings run."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import kagglekit as kk

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "jax", "matplotlib", "pandas", "sklearn", "scipy", "joblib")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(kk.__path__, "kagglekit.")
    if not module.name.endswith("__main__") and ".notebooks" not in module.name
)


def test_importing_the_package_loads_no_heavy_module():
    code = f"import sys, kagglekit; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_public_name_loads_and_is_listed_for_completion():
    for name in kk.__all__:
        assert getattr(kk, name).__doc__, f"{name} has no docstring"
        assert name in dir(kk)


def test_the_stub_means_to_python_what_the_package_reads_in_it():
    """Type checkers parse it: each import names one public thing, and nothing else stands there."""
    version, *imports = ast.parse((ROOT / "kagglekit" / "__init__.pyi").read_text()).body
    assert version.target.id == "__version__"
    listed = {node.names[0].asname: (node.module, node.names[0].name) for node in imports}
    assert listed == {name: (f"kagglekit.{module}", name) for name, module in kk._MODULE_OF.items()}
    assert list(listed) == kk.__all__
    assert kk.__all__.index("load_competition") < kk.__all__.index("cross_validate") < kk.__all__.index("export")


def test_an_unknown_name_raises_with_the_nearest_one():
    with pytest.raises(AttributeError, match="Did you mean 'make_submission'"):
        kk.make_submision  # noqa: B018


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    results = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_public_functions_have_at_most_seven_arguments():
    import inspect

    for name in kk.__all__:
        thing = getattr(kk, name)
        if inspect.isfunction(thing):
            assert len(inspect.signature(thing).parameters) <= 7, name


def test_tensorflow_says_nothing_when_the_kit_imports_it():
    code = "import kagglekit as kk; kk.list_backbones(); kk.build_classifier(2, backbone='small_cnn', weights=None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == ""
