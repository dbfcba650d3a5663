"""How much memory a Parquet file of labels takes, found before Arrow reads it.

A few hundred bytes can stand for billions of repeated values, and Arrow allocates what the headers of the pages say,
whatever the footer does. The footer is read here, too, because PyArrow ends the process if the record of a column in it
is damaged. Source: parquet.thrift of Apache Parquet; the compact protocol of Apache Thrift.
"""

import struct
from typing import Any

import pyarrow as pa

_WRITER = b"parquet-cpp-arrow"  # for files of some others, Arrow reads beyond the end of a column
_CODECS = {0: None, 1: "snappy"}
_BYTE_ARRAY = 6
_TYPES = (0, 1, 2, 4, 5, _BYTE_ARRAY)  # all but those of 12 and of any other fixed number of bytes
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_HEADER_OF = {_DATA_PAGE: 5, _DICTIONARY_PAGE: 7}  # field of the page header with what belongs to the kind
_ENCODINGS = (0, 2, 3, 8)  # plain, dictionary, runs, dictionary: no value is longer than its page
_VALUE_BYTES = 16  # a number or offset, with its levels
_MOST_NESTED = 8
_MOST_FOOTER_BYTES = 1 << 24

# Types of the compact protocol.
_BOOLEANS, _BYTE, _NUMBERS, _I32, _I64, _DOUBLE, _BINARY, _LIST, _STRUCT = (1, 2), 3, (4, 5, 6), 5, 6, 7, 8, 9, 12
_Fields = dict[int, tuple[int, Any]]  # field of a struct to its type and value


def estimate_bytes(data: bytes, most_bytes: int) -> int:
    """An upper bound of the memory for all columns of a Parquet file.

    ValueError if it is above `most_bytes`, or if footer or pages are damaged.
    """
    view = memoryview(data)
    footer = _read_footer(view)
    if not _take(footer, 6, _BINARY).startswith(_WRITER):
        raise ValueError("Arrow did not write it")
    total = 0
    for group in _take(footer, 4, _LIST):
        for column in _take(_fields(group), 1, _LIST):
            total += _estimate_column(view, _take(_fields(column), 3, _STRUCT), most_bytes - total)
    return total


def _read_footer(data: memoryview) -> _Fields:
    size = int.from_bytes(data[-8:-4], "little")
    if bytes(data[-4:]) != b"PAR1" or not 0 < size <= min(len(data) - 12, _MOST_FOOTER_BYTES):
        raise ValueError("its footer is damaged or too large")
    return _read_struct(data[-8 - size : -8], 0)[0]


def _estimate_column(data: memoryview, column: _Fields, most_bytes: int) -> int:
    kind, codec = _take(column, 1, _I32), _take(column, 4, _I32)
    if codec not in _CODECS or kind not in _TYPES:
        raise ValueError(f"a column has type {kind} and compression {codec}, which labels do not have")
    position, end = _find_pages(data, column)
    size_bytes = num_values = longest = 0
    while position < end:
        header, position = _read_struct(data, position)
        page, size, stored = (_read_size(header, field, _I32) for field in (1, 2, 3))
        own = _take(header, _HEADER_OF.get(page, 0), _STRUCT)
        if _read_size(own, 2, _I32) not in _ENCODINGS or position + stored > end:
            raise ValueError("a page of a column is cut off or has an unknown encoding")
        # The values of a dictionary are walked one by one, which is slow.
        size_bytes += size if page == _DATA_PAGE else 4 * size
        if size_bytes + num_values * (longest + _VALUE_BYTES) > most_bytes:
            raise ValueError("it is too large for labels")
        if page == _DATA_PAGE:
            num_values += _read_size(own, 1, _I32)
        elif kind == _BYTE_ARRAY:
            longest = max(longest, _longest(data[position : position + stored], size, _CODECS[codec]))
        position += stored
    total = size_bytes + num_values * (longest + _VALUE_BYTES)
    if total > most_bytes:
        raise ValueError("it is too large for labels")
    return total


def _find_pages(data: memoryview, column: _Fields) -> tuple[int, int]:
    """Where the pages of a column begin and end."""
    start = _read_size(column, 9, _I64)
    dictionary = _read_size(column, 11, _I64) if 11 in column else 0
    if 0 < dictionary < start:
        start = dictionary
    end = start + _read_size(column, 7, _I64)
    if end > len(data):
        raise ValueError("a column lies outside the file")
    return start, end


def _longest(page: memoryview, size: int, codec: str | None) -> int:
    """The length of the longest value of a dictionary of texts, in bytes."""
    values = bytes(page) if codec is None else pa.decompress(page, size, codec, asbytes=True)
    longest = position = 0
    while position + 4 <= len(values):
        (length,) = struct.unpack_from("<I", values, position)
        longest, position = max(longest, length), position + 4 + length
    return longest


def _take(fields: _Fields, field: int, kind: int) -> Any:
    """The value of a field, which must have this type: Arrow skips fields of other types."""
    found, value = fields.get(field, (0, None))
    if found != kind:
        raise ValueError("a column has a damaged record or header")
    return value


def _fields(value: Any) -> _Fields:
    if not isinstance(value, dict):
        raise ValueError("a column has a damaged record or header")
    return value


def _read_size(fields: _Fields, field: int, kind: int) -> int:
    value: int = _take(fields, field, kind)
    if value < 0:
        raise ValueError("a column has a damaged record or header")
    return value


def _read_struct(data: memoryview, position: int, level: int = 0) -> tuple[_Fields, int]:
    """The fields of a struct, and where it ends; ValueError if it is cut off or has a field twice."""
    values: _Fields = {}
    field = 0
    try:
        while head := data[position]:
            kind, position = head & 15, position + 1
            if head >> 4:
                field += head >> 4
            else:
                field, position = _read_number(data, position)
            if field in values:
                raise ValueError("a column has a damaged record or header")
            if kind in _BOOLEANS:
                values[field] = kind, None
            else:
                value, position = _read_value(data, position, kind, level)
                values[field] = kind, value
    except IndexError:
        raise ValueError("a page of a column, or the footer, is cut off") from None
    return values, position + 1


def _read_value(data: memoryview, position: int, kind: int, level: int) -> tuple[Any, int]:
    if kind in _NUMBERS:
        return _read_number(data, position)
    if kind == _BINARY:
        length, position = _read_varint(data, position)
        return bytes(data[position : position + min(length, len(_WRITER))]), position + length
    if kind == _STRUCT and level < _MOST_NESTED:
        return _read_struct(data, position, level + 1)
    if kind == _LIST and level < _MOST_NESTED:
        head, position = data[position], position + 1
        size = head >> 4
        if size == 15:  # a longer list
            size, position = _read_varint(data, position)
        values = []
        for _ in range(size):
            value, position = _read_value(data, position, head & 15, level + 1)
            values.append(value)
        return values, position
    if kind == _BYTE or kind in _BOOLEANS:  # a boolean in a list
        return data[position], position + 1
    if kind == _DOUBLE:
        return None, position + 8
    raise ValueError("a column has an unknown header")


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte, position = data[position], position + 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, position
        if shift > 63:
            raise ValueError("a column has a number that is too large")


def _read_number(data: memoryview, position: int) -> tuple[int, int]:
    number, position = _read_varint(data, position)
    return (number >> 1) ^ -(number & 1), position
