"""Area codes of Japanese fixed lines (市外局番), without the leading 0.

Source: 総務省「市外局番の一覧」. A line is a leading group of digits and its endings. Area code and exchange together
always have five digits, the 0 not counted.
"""

from __future__ import annotations

_TABLE = """
1: 1 5 7 8 9
12: 3 4 5 6 67
13: 3 4 5 6 7 72 74 77 8 9 92 97 98
14: 2 3 4 5 56 6 66
15: 2 3 4 47 5 58 6 64 7 8 86 87
16: 2 3 32 34 35 4 48 5 54 55 56 58 6 7
17: 2 3 4 5 6 8 9
18: 2 3 4 5 6 7
19: 1 2 3 4 5 7 8
2: 2 3 4 5 6 7 8 9
22: 0 3 4 5 6 8 9
23: 3 4 5 7 8
24: 0 1 2 3 4 6 7 8 9
25: 0 4 5 6 7 8 9
26: 0 1 3 4 5 6 7 8 9
27: 0 4 6 7 8 9
28: 0 2 3 4 5 7 8 9
29: 1 3 5 6 7 9
: 3 4 6
4: 2 3 4 5 6 7 8 9
42: 2 8
43: 6 8 9
46: 0 3 5 6 7
47: 0 5 6 8 9
48: 0
49: 3 4 5
499: 2 4 6 8
5: 2 3 4 5 8 9
53: 1 2 3 6 7 8 9
54: 4 5 7 8
55: 0 1 3 4 5 6 7 8
56: 1 2 3 4 5 6 7 8 9
57: 2 3 4 5 6 7 8
576: 9
58: 1 4 5 6 7
59: 4 5 6 7 8 9
597: 9
7: 2 3 4 5 6 7 8 9
72: 1 5
73: 5 6 7 8 9
74: 2 3 4 5 6 7 8 9
746: 8
76: 1 3 5 6 7 8
77: 0 1 2 3 4 6 8 9
79: 0 1 4 5 6 7 8 9
8: 2 3 4 6 7 8 9
82: 0 3 4 6 7 9
83: 3 4 5 6 7 8
838: 7 8
839: 6
84: 5 6 7 8
847: 7
85: 2 3 4 5 6 7 8 9
851: 2 4
86: 3 5 6 7 8 9
87: 5 7 9
88: 0 3 4 5 6 7 9
89: 2 3 4 5 6 7 8
9: 2 3 5 6 7 9
92: 0
93: 0
94: 0 2 3 4 6 7 8 9
949: 6
95: 0 2 4 5 6 7 9
96: 4 5 6 7 8 9
97: 2 3 4 7 8 9
98: 0 2 3 4 5 6 7
980: 2
99: 3 4 5 6 7
991: 2 3
996: 9
"""

AREA_CODES = frozenset(
    group.strip() + ending
    for group, _, endings in (line.partition(":") for line in _TABLE.strip().splitlines())
    for ending in endings.split()
)
"""Area codes without the leading 0: "3" is Tokyo, "11" Sapporo, "1267" Iwamizawa."""


def area_code_lengths(digits: str) -> tuple[int, ...]:
    """How many digits, with the 0, the area code of a ten-digit number may have: none where no area has it.

    The exchange behind the area code begins with 2 to 9.

    Example:
        >>> area_code_lengths("0332345678"), area_code_lengths("0126722345"), area_code_lengths("0012345678")
        ((2,), (4, 5), ())
    """
    return tuple(length for length in (2, 3, 4, 5) if digits[1:length] in AREA_CODES and digits[length] in "23456789")
