"""SipHash-1-3 (Aumasson, Bernstein: SipHash, a fast short-input PRF), from the paper."""

MASK = (1 << 64) - 1


def rotl(x, b):
    return (x << b | x >> (64 - b)) & MASK


def sip_round(v):
    v[0] = (v[0] + v[1]) & MASK
    v[2] = (v[2] + v[3]) & MASK
    v[1] = rotl(v[1], 13) ^ v[0]
    v[3] = rotl(v[3], 16) ^ v[2]
    v[0] = rotl(v[0], 32)
    v[2] = (v[2] + v[1]) & MASK
    v[0] = (v[0] + v[3]) & MASK
    v[1] = rotl(v[1], 17) ^ v[2]
    v[3] = rotl(v[3], 21) ^ v[0]
    v[2] = rotl(v[2], 32)


def siphash13(key, message):
    k = [int.from_bytes(key[i:i + 8], "little") for i in (0, 8)]
    v = [k[0] ^ 0x736F6D6570736575, k[1] ^ 0x646F72616E646F6D, k[0] ^ 0x6C7967656E657261, k[1] ^ 0x7465646279746573]
    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# Of docs/decisions/001-flow-hash.md: another implementation's.
assert siphash13(bytes(range(16)), bytes([198, 51, 100, 7, 192, 0, 2, 10, 0x9C, 0x40, 0, 80, 6])) == 0xFA43B87DE3E4A666
