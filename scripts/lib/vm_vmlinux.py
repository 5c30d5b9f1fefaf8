"""Takes the kernel itself out of a compressed image: vm_vmlinux.py VMLINUZ VMLINUX. Debian's are xz."""

import lzma
import sys

XZ = b"\xfd7zXZ\0"


def main():
    with open(sys.argv[1], "rb") as image:
        data = image.read()
    start = data.find(XZ)
    if start < 0:
        sys.exit(f"{sys.argv[1]} holds no xz stream; this kernel is compressed in another way")
    kernel = lzma.LZMADecompressor().decompress(data[start:])
    if not kernel.startswith(b"\x7fELF"):
        sys.exit(f"what is compressed in {sys.argv[1]} is no ELF file")
    with open(sys.argv[2], "wb") as out:
        out.write(kernel)


main()
