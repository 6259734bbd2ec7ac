"""Writes a smaller copy of a library with CUDA kernels: python3 prune.py FROM TO [--arch 90] [--all-kernels] [--launched LOG]

Machine code of other architectures is overwritten with zeros, and so is that of kernels for what segr1 never asks for (mixtures of experts,
quantized weights). Offsets, headers and the host's code stay as they are: the driver picks code by architecture, and loads it when it is
first launched. What is zero takes no room once it is compressed.

  --arch 80,90     architectures to keep, as compute capabilities without their point; 90 by default
  --all-kernels    keeps every kernel of them; without it the package zstandard is needed, which reads compressed code
  --launched LOG   a log of test/cuda/standin: fails if a kernel that was launched there is gone

Prints one line of JSON, bytes of machine code.
"""
import argparse
import json
import re
import struct
import sys

SECTION = ".nv_fatbin"
CONTAINER = 0xBA55ED50  # the magic number in front of each of a section's containers
MACHINE_CODE = 2  # the kind of an entry; 1 is PTX
ZSTD = b"\x28\xb5\x2f\xfd"
ELF = b"\x7fELF"

# Of kernels that no graph of segr1's asks for, and which take most of the room.
NEVER = re.compile(rb"moe|fpA_intB|fpAIntB|weight_only|MatMulNBits|MatMulFloat\d|blockwise|bnb4|xqa|fp8|fp4|e4m3|GroupProblemShape", re.IGNORECASE)
# The compiler puts it everywhere.
FILLER = b"EmptyKernel"


def sections(file):
    """Name, offset and size of each section of a 64-bit ELF file."""
    if file[:4] != ELF:
        sys.exit("prune  FROM: expected a shared object; got another file")
    (table,) = struct.unpack_from("<Q", file, 0x28)
    each, count, names = struct.unpack_from("<HHH", file, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", file, table + i * each) for i in range(count)]
    start = headers[names][4]
    for name, _, _, _, offset, size in headers:
        at = start + name
        yield bytes(file[at : file.index(b"\0", at)]).decode(), offset, size


def entries(file, offset, size):
    """Kind, architecture, offset and size of each piece of code in a section."""
    at, end = offset, offset + size
    while at < end:
        if struct.unpack_from("<I", file, at)[0] != CONTAINER:
            at += 8
            continue
        _, _, header, length = struct.unpack_from("<IHHQ", file, at)
        at += header
        stop = at + length
        while at < stop:
            kind, _, head, payload = struct.unpack_from("<HHIQ", file, at)
            (architecture,) = struct.unpack_from("<I", file, at + 28)
            yield kind, architecture, at + head, payload
            at += head + payload


def kernels(code):
    """Names of the kernels in a piece of machine code; none where it can't be read."""
    if code[:4] == ZSTD:
        code = unpacked(code)
    return set(re.findall(rb"\.text\.([A-Za-z0-9_$.]+)", code)) if code[:4] == ELF else set()


def unpacked(code):
    try:
        import zstandard
    except ImportError:
        sys.exit("prune  zstandard: expected this package, which reads compressed kernels; got none; way out: pip install zstandard, or --all-kernels")
    # What follows the frame is padding.
    return zstandard.ZstdDecompressor().decompressobj().decompress(code)


def needed(names):
    """Whether any of these kernels may be launched; what can't be read counts as needed."""
    own = [name for name in names if FILLER not in name]
    return not own or not all(NEVER.search(name) for name in own)


def launched(log):
    """Names of kernels in a log of the stand-in: lines `name NUMBER KERNEL`."""
    with open(log, "rb") as lines:
        return {words[2] for words in map(bytes.split, lines) if len(words) == 3 and words[0] == b"name"}


def main():
    parser = argparse.ArgumentParser(usage="prune.py FROM TO [--arch 90] [--all-kernels] [--launched LOG]")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--arch", default="90")
    parser.add_argument("--all-kernels", action="store_true")
    parser.add_argument("--launched")
    asked = parser.parse_args()
    wanted = {int(one) for one in asked.arch.split(",")}

    with open(asked.source, "rb") as source:
        file = bytearray(source.read())
    kept, dropped, there, names = 0, 0, set(), set()
    for section, offset, size in list(sections(file)):
        if section != SECTION:
            continue
        for kind, architecture, at, length in list(entries(file, offset, size)):
            code = bytes(file[at : at + length])
            right = kind == MACHINE_CODE and architecture in wanted
            own = kernels(code) if right and not (asked.all_kernels and asked.launched is None) else set()
            there.add(architecture)
            if right and (asked.all_kernels or needed(own)):
                kept += length
                names |= own
            else:
                file[at : at + length] = bytes(length)
                dropped += length
    if not wanted <= there:
        sys.exit(f"prune  --arch: expected some of {sorted(there)}, which the file has; got {asked.arch}")
    gone = sorted(launched(asked.launched) - names) if asked.launched else []
    if gone:
        sys.exit("prune  --launched: expected every kernel that was launched; got a file without " + ", ".join(name.decode() for name in gone[:4]))
    with open(asked.target, "wb") as target:
        target.write(file)
    print(json.dumps({"kept": kept, "dropped": dropped, "architectures": sorted(wanted)}))


main()
