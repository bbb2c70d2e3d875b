"""Coils and registers that answer requests: a device's inside, for doubles of any transport."""

import struct


class Unit:
    """Sixteen coils and registers from address 0; inputs are the coils, input registers the registers."""

    def __init__(self) -> None:
        self.coils = [False] * 16
        self.words = [0] * 16

    def answer(self, pdu: bytes) -> bytes:
        function, (first, second) = pdu[0], struct.unpack(">HH", pdu[1:5])
        count = second if function in {1, 2, 3, 4, 16} else 1
        if function not in {1, 2, 3, 4, 5, 6, 16}:
            return bytes([function | 0x80, 1])
        if first + count > 16:
            return bytes([function | 0x80, 2])
        if function in {1, 2}:
            bits = sum(on << i for i, on in enumerate(self.coils[first : first + count]))
            row = bits.to_bytes((count + 7) // 8, "little")
            return bytes([function, len(row)]) + row
        if function in {3, 4}:
            return struct.pack(f">BB{count}H", function, 2 * count, *self.words[first : first + count])
        if function == 5:
            self.coils[first] = second != 0
        elif function == 6:
            self.words[first] = second
        else:
            self.words[first : first + count] = struct.unpack(f">{count}H", pdu[6:])
        return pdu[:5]
