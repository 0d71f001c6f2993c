"""What Python adds to the kernels: a rounding of 10^6 numbers and a product of 512^3 beside the same in C++ (kernel_times.cpp), in turn.

Not by default: it needs a machine that does nothing else.
"""
import os
import subprocess
import sys
import time

import lamp
import numpy

LIMITS = {"round, 10^6 numbers": 1.3, "matmul, 512^3": 1.05}


def least(repeats, work):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def numbers(shape):
    i = numpy.arange(int(numpy.prod(shape)), dtype=numpy.uint64)
    return (((i * 2654435761) % 2**32 % 2001).astype(float) - 1000).reshape(shape) / 512


def main():
    x, a, b = numbers(1_000_000), numbers((512, 512)), numbers((512, 512))
    y, c, ps7 = numpy.empty_like(x), numpy.empty((512, 512)), lamp.Arithmetic(preset="lamp-paper", mu=7)
    rounds = {"C++": [], "lamp, out=": [], "lamp": []}
    for _ in range(7):
        rounds["C++"].append([float(word) for word in subprocess.run([os.environ["LAMP_KERNEL_TIMES"]], capture_output=True, text=True,
                                                                      check=True).stdout.split()])
        rounds["lamp, out="].append([least(50, lambda: lamp.round(x, "e4m3fn", out=y, threads=1)),
                                     least(20, lambda: ps7.matmul(a, b, out=c, threads=1))])
        rounds["lamp"].append([least(50, lambda: lamp.round(x, "e4m3fn", threads=1)), least(20, lambda: ps7.matmul(a, b, threads=1))])
    best = {name: numpy.min(times, axis=0) for name, times in rounds.items()}
    late = False
    for i, (work, limit) in enumerate(LIMITS.items()):
        for name, times in best.items():
            ratio = times[i] / best["C++"][i]
            late |= ratio > limit
            print(f"{work:<20} {name:<11} {times[i] * 1e6:10.0f} us   {ratio:.3f} of the kernel (at most {limit})")
    print(f"one number           {least(2000, lambda: lamp.round(1.1, 'e4m3fn')) * 1e6:.1f} us;"
          f" dot of 64 {least(2000, lambda: ps7.dot(x[:64], x[:64])) * 1e6:.1f} us")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
