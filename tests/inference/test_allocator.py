"""On Linux the memory of freed tensors stays with the process, so that the next ones fault no page in anew."""

import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from ssul.inference.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
keep_freed_memory()
faults()  # the heap grows
print(faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_tensors_of_a_size_that_was_freed_before_cost_no_page_faults() -> None:
    out = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    given_back, kept = map(int, out.split())
    pages = 10 * 2**26 // resource.getpagesize()
    assert given_back >= 0.9 * pages
    assert kept < 0.01 * pages
