"""The inputs of matrix products inside llama.cpp, seen through its evaluation callback.

llama-cpp-python leaves `struct ggml_tensor` (ggml/include/ggml.h) opaque, so its beginning is declared here; before the
first use it is checked against what ggml's own functions say of a tensor.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.errors import ConversionError

# GGML_MAX_DIMS, GGML_MAX_SRC, GGML_MAX_NAME, GGML_MAX_OP_PARAMS (ggml.h).
_DIMENSIONS, _SOURCES, _NAME, _PARAMETERS = 4, 10, 64, 64
_F32 = 0
# llama-imatrix leaves out products with fewer tokens.
LEAST_TOKENS = 16

# Called with the matrix's name and the inputs of a product with it, (tokens, inputs).
Watcher = Callable[[str, NDArray[np.float32]], None]


class Tensor(ctypes.Structure):
    """`struct ggml_tensor`: a node of the graph, or a weight."""


Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * _DIMENSIONS),
    ("nb", ctypes.c_size_t * _DIMENSIONS),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * (_PARAMETERS // 4)),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(Tensor) * _SOURCES),
    ("view_src", ctypes.POINTER(Tensor)),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * _NAME),
]


class ProductCallback:
    """llama.cpp's `cb_eval`: gives `watch` the name of each block's matrix and the inputs it is multiplied with."""

    def __init__(self, watch: Watcher) -> None:
        """Raise `ConversionError` if this version of ggml lays tensors out otherwise."""
        self._watch = watch
        self._ggml = _ggml()
        self._product = _product_number(self._ggml)
        self.fault: Exception | None = None
        """What went wrong in a call; an exception cannot pass through llama.cpp."""

    def __call__(self, address: int, asked: bool, _data: int | None) -> bool:
        """Say which nodes are wanted, then take them; llama.cpp goes on in any case."""
        try:
            tensor = Tensor.from_address(address)
            if asked:
                return tensor.op == self._product and self._is_wanted(tensor)
            weight, inputs = tensor.src[0].contents, tensor.src[1].contents
            self._watch(weight.name.decode(), _values(inputs))
        except Exception as error:
            self.fault = error
        return True

    def _is_wanted(self, tensor: Tensor) -> bool:
        weight, inputs = tensor.src[0].contents, tensor.src[1].contents
        return bool(inputs.ne[1] >= LEAST_TOKENS and inputs.type == _F32 and weight.name.startswith(b"blk."))


def _values(tensor: Tensor) -> NDArray[np.float32]:
    """A float32 tensor in the machine's memory as rows, (rows, ne[0])."""
    shape = tuple(reversed(tensor.ne[:_DIMENSIONS]))
    strides = tuple(reversed(tensor.nb[:_DIMENSIONS]))
    flat = ctypes.cast(tensor.data, ctypes.POINTER(ctypes.c_float))
    values = np.lib.stride_tricks.as_strided(np.ctypeslib.as_array(flat, (1,)), shape, strides, writeable=False)
    return values.reshape(-1, shape[-1])


@cache
def _ggml() -> Any:
    """Ggml's library, as llama-cpp-python loaded it, once it is known to lay tensors out as `Tensor` does."""
    from llama_cpp._ggml import libggml

    _check_layout(libggml)
    return libggml


class _InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


def _check_layout(library: Any) -> None:
    node, weight = _sample(library)
    for name, result in {"ggml_get_name": ctypes.c_void_p, "ggml_get_data": ctypes.c_void_p}.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, [ctypes.c_void_p]
    address = ctypes.addressof(weight)
    agrees = (
        library.ggml_get_name(address) == address + Tensor.name.offset
        and (library.ggml_get_data(address) or 0) == (weight.data or 0)
        and list(weight.ne) == [32, 2, 1, 1]
        and list(weight.nb) == [4, 128, 256, 256]
        and ctypes.addressof(node.src[0].contents) == address
    )
    if not agrees:
        raise ConversionError("this version of llama.cpp lays tensors out otherwise: use llama-imatrix with --imatrix")


def _sample(library: Any) -> tuple[Tensor, Tensor]:
    """A product of two matrices that is never computed, and its first factor, (2, 32); a few bytes, never freed."""
    library.ggml_init.restype, library.ggml_init.argtypes = ctypes.c_void_p, [_InitParams]
    new, product = library.ggml_new_tensor_2d, library.ggml_mul_mat
    new.restype, new.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    product.restype, product.argtypes = ctypes.c_void_p, [ctypes.c_void_p] * 3
    context = library.ggml_init(_InitParams(1 << 14, None, True))
    weight, inputs = new(context, _F32, 32, 2), new(context, _F32, 32, 3)
    return Tensor.from_address(product(context, weight, inputs)), Tensor.from_address(weight)


def _product_number(library: Any) -> int:
    """GGML_OP_MUL_MAT in this version."""
    return int(_sample(library)[0].op)
