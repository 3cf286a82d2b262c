"""The emulator notices what is wrong: each fault is a small kernel with one mistake."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from doubles import moe
from doubles.moe import Emulator
from doubles.moe_cases import Case, Layer

pytestmark = pytest.mark.emulated

FAULTS = {
    "misaligned_copy": "not aligned to 16 bytes",
    "copy_beyond_the_buffer": "reads beyond its buffer, at byte 4080 of a buffer of 4096",
    "copy_outside_shared_memory": "does not land in the block's shared memory",
    "bytes_never_announced": "no lane can go on",
    "wrong_parity": "for parity 1; it lacks 1 arrivals",
    "too_many_arrivals": "more lanes arrive",
    "barrier_without_init": "before it is initialised",
    "barrier_overwritten": "the word of a barrier was overwritten",
    "half_a_warp_shuffles": "lanes of one warp disagree",
    "some_lanes_leave": "a barrier of the warp",
    "half_a_block_meets": "32 of 64 threads have come",
    "counter_nobody_raises": "to reach 2147483647",
    "ends_before_its_copies": "while copies into its shared memory are on their way",
    "store_beyond_the_buffer": "a memory fault at byte 4096 of a buffer of 4096",
    "misaligned_load": "a load of 8 bytes is not aligned",
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(emulator: Emulator, name: str) -> None:
    emulator.library.emulator_try_fault.restype = ctypes.c_char_p
    emulator.library.emulator_try_fault.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    weights = emulator.put(np.zeros(4096, np.uint8))
    for seed in range(3):
        emulator.seed(seed)
        said = emulator.library.emulator_try_fault(name.encode(), weights).decode()
        assert FAULTS[name] in said


def test_work_goes_on_after_a_fault(emulator: Emulator) -> None:
    emulator.library.emulator_try_fault.restype = ctypes.c_char_p
    weights = emulator.put(np.zeros(4096, np.uint8))
    emulator.library.emulator_try_fault(b"store_beyond_the_buffer", ctypes.c_void_p(weights))
    layer = Layer(Case("Q4_K", 768, 3), emulator)
    assert moe.normalised_error(layer.run(moe.MATMUL), layer.up_truth()) < 5e-4


def test_the_last_row_of_the_last_expert_is_read_to_its_end_only(emulator: Emulator) -> None:
    # 2880 values of MXFP4 are 1530 bytes: rows begin anywhere; the buffer ends with one.
    case = Case("MXFP4", 2880, 2, "alone", experts=3, rows=16)
    layer = Layer(case, emulator)
    assert layer.up.blocks.nbytes % 16 == 0
    uneven = Case("MXFP4", 1440, 2, "alone", experts=3, rows=16)
    assert 1440 // 32 * 17 % 16 == 13
    for each in (case, uneven):
        layer = Layer(each, emulator)
        truth = layer.up_truth()
        assert moe.normalised_error(layer.run(moe.MATMUL), truth) < 5e-4
