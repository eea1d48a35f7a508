"""Published class orders besides the natural ones, as ids of the datasets' masks.

VOC's orders b..w belong to 15-1 (PLOP, Douillard et al., CVPR 2021; SSUL uses the same letters). ADE20K's b and c (MiB,
Cermelli et al., CVPR 2020) are published as sets of classes for 100-50, 100-10 and 50-50; the sets nest, so that one
order serves all three. Within a published set the ids ascend.
"""

from collections.abc import Mapping
from types import MappingProxyType


def _ids(listed: str) -> tuple[int, ...]:
    return tuple(int(word) for word in listed.split())


_VOC: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "b": _ids("12 9 20 7 15 8 14 16 5 19 4 1 13 2 11 17 3 6 18 10"),
        "c": _ids("13 19 15 17 9 8 5 20 4 3 10 11 18 16 7 12 14 6 1 2"),
        "d": _ids("15 3 2 12 14 18 20 16 11 1 19 8 10 7 17 6 5 13 9 4"),
        "e": _ids("7 5 3 9 13 12 14 19 10 2 1 4 16 8 17 15 18 6 11 20"),
        "f": _ids("7 13 5 11 9 2 15 12 14 3 20 1 16 4 18 8 6 10 19 17"),
        "g": _ids("7 5 9 1 15 18 14 3 20 10 4 19 11 17 16 12 8 6 2 13"),
        "h": _ids("12 9 19 6 4 10 5 18 14 15 16 3 8 7 11 13 2 20 17 1"),
        "i": _ids("13 10 15 8 7 19 4 3 16 12 14 11 5 20 6 2 18 9 17 1"),
        "j": _ids("1 14 9 5 2 15 8 20 6 16 18 7 11 10 19 3 4 17 12 13"),
        "k": _ids("16 13 1 11 12 18 6 14 5 3 7 9 20 19 15 4 2 10 8 17"),
        "l": _ids("10 7 6 19 16 8 17 1 14 4 9 3 15 11 12 2 18 20 13 5"),
        "m": _ids("18 4 14 17 12 10 7 3 9 1 8 15 6 13 2 5 11 20 16 19"),
        "n": _ids("5 4 13 18 14 10 19 15 7 9 3 2 8 16 20 1 12 11 6 17"),
        "o": _ids("9 12 13 18 7 1 15 17 10 8 4 5 20 16 6 14 19 11 2 3"),
        "p": _ids("9 12 13 18 2 11 15 17 10 8 4 5 20 16 6 14 19 1 7 3"),
        "q": _ids("3 14 13 18 2 11 15 17 10 8 4 5 20 16 6 12 19 1 7 9"),
        "r": _ids("3 14 13 1 2 11 15 17 7 8 4 5 9 16 19 12 6 18 10 20"),
        "s": _ids("3 14 6 1 2 11 12 17 7 20 4 5 9 16 19 15 13 18 10 8"),
        "t": _ids("3 15 13 1 2 11 18 17 7 20 8 5 9 16 19 14 6 12 10 4"),
        "u": _ids("3 15 13 14 6 11 18 17 7 20 8 4 9 16 10 1 2 12 19 5"),
        "v": _ids("1 2 12 14 6 19 18 17 5 20 8 4 9 16 10 3 15 13 11 7"),
        "w": _ids("1 2 12 14 13 19 18 7 11 20 8 4 9 16 10 3 15 6 5 17"),
    }
)

_ADE20K: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "b": _ids(
            """
            1 9 14 18 22 24 25 27 28 29 32 38 42 45 46 47 48 49 54 56 58 61 62 63 69 74 75 76 77 81 82
            84 90 93 96 100 103 104 109 117 119 121 123 128 129 130 134 135 136 144
            3 5 6 8 10 12 13 19 21 23 26 31 33 34 36 39 40 43 44 53 55 57 60 70 71 80 86 87 91 95 99 101
            105 106 107 113 116 120 125 126 131 132 133 140 142 143 147 148 149 150
            11 16 50 64 66 73 89 92 145 146
            30 37 51 52 72 85 98 114 115 138
            2 35 65 97 110 111 112 118 124 141
            4 7 15 41 67 78 79 88 108 139
            17 20 59 68 83 94 102 122 127 137
            """
        ),
        "c": _ids(
            """
            5 10 11 12 13 16 17 19 20 23 27 28 30 31 32 33 37 43 46 52 56 57 65 66 69 70 74 76 77 79 82
            83 86 87 105 109 110 111 119 128 129 132 133 134 138 142 143 144 146 147
            1 6 8 9 14 24 25 26 29 34 35 36 40 41 44 45 48 50 54 61 63 67 68 71 78 81 84 85 90 94 95 96
            97 98 99 102 106 112 114 115 118 120 121 123 124 126 135 136 139 149
            3 4 7 18 39 64 73 101 113 137
            47 51 55 60 62 80 116 127 140 148
            22 42 49 58 59 89 91 92 108 125
            2 38 53 100 104 117 130 131 141 145
            15 21 72 75 88 93 103 107 122 150
            """
        ),
    }
)

_PUBLISHED: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType({"voc": _VOC, "ade": _ADE20K})


def published_orders(dataset: str) -> Mapping[str, tuple[int, ...]]:
    """The published learning orders of a dataset by their letters; most datasets have none.

    Args:
        dataset: its name.
    """
    return _PUBLISHED.get(dataset, {})
