"""How much memory a Parquet file of labels takes, found before Arrow reads it.

A few hundred bytes can stand for billions of repeated values, and Arrow allocates what the headers of the pages say,
whatever the footer does. Source: parquet.thrift of Apache Parquet (PageHeader); the compact protocol of Apache Thrift.
"""

import struct
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_WRITER = "parquet-cpp-arrow"  # for files of some others, Arrow reads beyond the end of a column
_CODECS = ("SNAPPY", "UNCOMPRESSED")
_TYPES = ("BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE", "BYTE_ARRAY")
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_HEADER_OF = {_DATA_PAGE: 5, _DICTIONARY_PAGE: 7}  # field of the page header with what belongs to the kind
_ENCODINGS = (0, 2, 3, 8)  # plain, dictionary, runs, dictionary: no value is longer than its page
_VALUE_BYTES = 16  # a number or offset, with its levels
_MOST_NESTED = 4

_BOOLEANS, _NUMBERS, _DOUBLE, _BINARY, _STRUCT = (1, 2), (3, 4, 5, 6), 7, 8, 12  # types of the compact protocol


def estimate_bytes(data: bytes, metadata: "pq.FileMetaData", most_bytes: int) -> int:
    """An upper bound of the memory for all columns; ValueError if it is above `most_bytes`, or pages are damaged."""
    if not str(metadata.created_by).startswith(_WRITER):
        raise ValueError("Arrow did not write it")
    total = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            total += _estimate_column(memoryview(data), column, most_bytes - total)
    return total


def _estimate_column(data: memoryview, column: "pq.ColumnChunkMetaData", most_bytes: int) -> int:
    if column.compression not in _CODECS or column.physical_type not in _TYPES:
        raise ValueError(f"a column is {column.physical_type}, compressed by {column.compression}")
    position, end = _find_pages(data, column)
    size_bytes = num_values = longest = 0
    while position < end:
        header, position = _read_struct(data, position)
        kind, size, stored = (_read_size(header, field) for field in (1, 2, 3))
        own = header.get(_HEADER_OF.get(kind, 0), {})
        if _read_size(own, 2) not in _ENCODINGS or position + stored > end:
            raise ValueError("a page of a column is cut off or has an unknown encoding")
        # The values of a dictionary are walked one by one, which is slow.
        size_bytes += size if kind == _DATA_PAGE else 4 * size
        if size_bytes + num_values * (longest + _VALUE_BYTES) > most_bytes:
            raise ValueError("it is too large for labels")
        if kind == _DATA_PAGE:
            num_values += _read_size(own, 1)
        elif column.physical_type == "BYTE_ARRAY":
            page = data[position : position + stored]
            longest = max(longest, _longest(page, size, column.compression))
        position += stored
    total = size_bytes + num_values * (longest + _VALUE_BYTES)
    if total > most_bytes:
        raise ValueError("it is too large for labels")
    return total


def _find_pages(data: memoryview, column: "pq.ColumnChunkMetaData") -> tuple[int, int]:
    """Where the pages of a column begin and end."""
    start, dictionary = column.data_page_offset, column.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < start:
        start = dictionary
    end = start + column.total_compressed_size
    if not 0 <= start <= end <= len(data):
        raise ValueError("a column lies outside the file")
    return start, end


def _longest(page: memoryview, size: int, codec: str) -> int:
    """The length of the longest value of a dictionary of texts, in bytes."""
    values = bytes(page) if codec == "UNCOMPRESSED" else pa.decompress(page, size, codec.lower(), asbytes=True)
    longest = position = 0
    while position + 4 <= len(values):
        (length,) = struct.unpack_from("<I", values, position)
        longest, position = max(longest, length), position + 4 + length
    return longest


def _read_size(fields: Any, field: int) -> int:
    value = fields.get(field) if isinstance(fields, dict) else None
    if type(value) is not int or value < 0:
        raise ValueError("a page of a column has a damaged header")
    return value


def _read_struct(data: memoryview, position: int, level: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a struct by number, and where it ends; ValueError if it is cut off or has lists."""
    values: dict[int, Any] = {}
    field = 0
    try:
        while head := data[position]:
            kind, position = head & 15, position + 1
            if head >> 4:
                field += head >> 4
            else:
                field, position = _read_number(data, position)
            if kind in _BOOLEANS:
                values[field] = kind == _BOOLEANS[0]
            elif kind in _NUMBERS:
                values[field], position = _read_number(data, position)
            elif kind == _DOUBLE:
                position += 8
            elif kind == _BINARY:
                length, position = _read_varint(data, position)
                position += length
            elif kind == _STRUCT and level < _MOST_NESTED:
                values[field], position = _read_struct(data, position, level + 1)
            else:
                raise ValueError("a page of a column has an unknown header")
    except IndexError:
        raise ValueError("a page of a column is cut off") from None
    return values, position + 1


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte, position = data[position], position + 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, position
        if shift > 63:
            raise ValueError("a page of a column has a number that is too large")


def _read_number(data: memoryview, position: int) -> tuple[int, int]:
    number, position = _read_varint(data, position)
    return (number >> 1) ^ -(number & 1), position
