"""Kernels that only kernels call: compiled as far as their callers need, and no farther.

Numba optimises every function with all that it calls and makes machine code of it, though a function that is only
called by others is then linked into them as LLVM code, optimised once more, and its machine code never runs.  Here
such a function stays LLVM code, which is what the cache keeps of it.  Three quarters of the time that compiling took
went there and into turning Python's objects into arguments for such functions.

What is overridden below is numba's own (`numba.core.codegen`), unchanged from numba 0.60 to 0.68.
"""

from __future__ import annotations

from llvmlite import binding
from numba.core import codegen, compiler
from numba.core.compiler import CompilerBase, CompileResult, DefaultPassBuilder


class LinkedLibrary(codegen.JITCodeLibrary):
    """A function's LLVM code and all that it calls, to be linked into a caller's."""

    @property
    def codegen(self):
        return _WithoutEnvironments(self._codegen)

    def _optimize_final_module(self) -> None:
        """Not before it is part of a caller."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """There is no machine code to point to."""
        self._ensure_finalized()
        return 0


class _WithoutEnvironments:
    """A code generator for which nothing is told where a function's Python globals are: only machine code asks."""

    def __init__(self, whole):
        self._whole = whole

    def __getattr__(self, name: str):
        return getattr(self._whole, name)

    def set_env(self, name: str, environment) -> None:
        pass


class LinkedCompiler(CompilerBase):
    """Numba's usual passes, into a `LinkedLibrary`."""

    def define_pipelines(self):
        self.state.library = LinkedLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


OPTIONS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": LinkedCompiler}


def reduced(result: CompileResult) -> tuple:
    """What `rebuilt` needs, to be pickled."""
    result.fndesc.typemap = result.fndesc.calltypes = None  # large, and of no further use
    module = result.library._get_module_for_linking()
    environments = result._find_referenced_environments()
    return (
        result.library.name, module.as_bitcode(), result.fndesc, result.environment, result.signature,
        result.reload_init, environments,
    )  # fmt: skip


def rebuilt(target_context, name, bitcode, fndesc, environment, signature, reload_init, environments) -> CompileResult:
    for load in reload_init:
        load()
    library = LinkedLibrary(target_context.codegen(), name)
    library._final_module = binding.parse_bitcode(bitcode)
    library._finalize_final_module()
    return compiler.compile_result(
        target_context=target_context,
        typing_context=target_context.typing_context,
        library=library,
        environment=environment,
        entry_point=target_context.get_executable(library, fndesc, environment),
        fndesc=fndesc,
        type_annotation="",
        signature=signature,
        objectmode=False,
        lifted=(),
        reload_init=reload_init,
        referenced_envs=environments,
    )


def set_environments(result: CompileResult) -> None:
    """Tell a function's machine code where the globals of the functions linked into it are."""
    for environment in result._find_referenced_environments():
        result.codegen.set_env(environment.env_name, environment)
