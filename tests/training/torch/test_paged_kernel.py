"""The Triton kernel, interpreted on the CPU, and its stand-in against attention written out.

bfloat16 cannot be tested so: Triton's interpreter keeps it as 16-bit integers, and its dot product
multiplies those. On a device the kernel is compared with PyTorch before it is used (trusted_attend).
"""

import pytest
import torch

pytest.importorskip("triton")
from natural.paged import attend_gathered  # noqa: E402
from natural.paged_kernel import attend  # noqa: E402

PAGE, PAGES, WIDTH = 16, 12, 32
LENGTHS = (1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE)


def written_out(query, keys, values, table, lengths, scale):
    """Row by row and head by head."""
    group = query.shape[1] // keys.shape[1]
    out = torch.empty_like(query)
    for row, length in enumerate(lengths):
        cells = [int(table[row, i // PAGE]) * PAGE + i % PAGE for i in range(length)]
        for head in range(query.shape[1]):
            k, v = keys[cells, head // group].float(), values[cells, head // group].float()
            out[row, head] = (k @ query[row, head].float() * scale).softmax(0) @ v
    return out


@pytest.mark.parametrize("function", [attend, attend_gathered])
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 2e-6), (torch.float16, 2e-3)])
@pytest.mark.parametrize("group", [1, 6])
def test_the_same_as_written_out(function, dtype, most, group):
    heads, rows = 2, len(LENGTHS)
    query = torch.randn(rows, heads * group, WIDTH).to(dtype)
    keys, values = torch.randn(2, PAGES * PAGE, heads, WIDTH).to(dtype)
    table = torch.stack([torch.randperm(PAGES)[:3] for _ in range(rows)]).to(torch.int32)
    for row, length in enumerate(LENGTHS):  # what lies behind a row's end is another's, and large
        used = [int(table[row, i // PAGE]) * PAGE + i % PAGE for i in range(length)]
        behind = torch.ones(PAGES * PAGE, dtype=torch.bool)
        behind[used] = False
        k, v = keys.clone(), values.clone()
        k[behind], v[behind] = 50, 1000
        lengths = torch.tensor([length], dtype=torch.int32)
        arguments = (query[row : row + 1], k, v, table[row : row + 1], lengths)
        found = function(*arguments, PAGE, WIDTH**-0.5)
        expected = written_out(*arguments, WIDTH**-0.5)
        assert (found.float() - expected.float()).abs().max() < most, f"length {length}"
