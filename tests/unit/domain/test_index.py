"""snapshot.json: canonical, and the same bytes as a whole document would give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.domain.index import VERSION, IndexFile, IndexPart, canonical, write_index

# Never edit it: version 1 stands in customers' stores. A change of meaning raises the version.
GOLDEN = (
    '{"files":[{"disk":1,"md5":"0123456789abcdef0123456789abcdef","name":"wéb.raw.gz","parts":['
    '{"frames":[1048,77],"length":2097152,"md5":"aa","offset":0,"sha256":"bb","size":1125},'
    '{"length":16777216,"md5":"cc","offset":2097152,"sha256":"dd","size":1048576,"zero":true}'
    '],"sha256":"ee","size":1049701,"source_size":18874368}],'
    '"kind":"raw","server":"wéb","version":1}\n'
)


def test_the_document_of_version_1_is_what_it_always_was() -> None:
    file = IndexFile(
        name="wéb.raw.gz",
        size=1_049_701,
        md5="0123456789abcdef0123456789abcdef",
        sha256="ee",
        disk=1,
        source_size=18_874_368,
    )
    parts = [
        IndexPart(sha256="bb", md5="aa", size=1125, offset=0, length=2_097_152, frames=(1048, 77)),
        IndexPart(
            sha256="dd", md5="cc", size=1_048_576, offset=2_097_152, length=16_777_216, zero=True
        ),
    ]
    written = b"".join(write_index({"kind": "raw", "server": "wéb"}, [(file, parts)]))
    assert written.decode() == GOLDEN
    assert VERSION == 1


_hex = st.text("0123456789abcdef", min_size=2, max_size=8)
_number = st.integers(0, 2**63)
_parts = st.builds(
    IndexPart,
    sha256=_hex,
    md5=_hex,
    size=_number,
    offset=_number,
    length=_number,
    frames=st.lists(_number, max_size=3).map(tuple),
    zero=st.booleans(),
)
_files = st.builds(
    IndexFile,
    name=st.text(),
    size=_number,
    md5=_hex,
    sha256=_hex,
    disk=st.integers(0, 99),
    source_size=_number,
)
_headers = st.dictionaries(
    st.text(min_size=1).filter(lambda key: key > "files" and key != "version"),
    st.text() | _number | st.none(),
    max_size=5,
)


@given(_headers, st.lists(st.tuples(_files, st.lists(_parts, max_size=4)), max_size=3))
def test_piece_by_piece_it_is_the_canonical_form_of_the_whole(
    header: dict[str, Any], files: list[tuple[IndexFile, list[IndexPart]]]
) -> None:
    written = b"".join(write_index(header, files)).decode("utf-8", "surrogatepass")
    whole = {
        **header,
        "version": VERSION,
        "files": [
            {
                "name": file.name,
                "size": file.size,
                "md5": file.md5,
                "sha256": file.sha256,
                "disk": file.disk,
                "source_size": file.source_size,
                "parts": [_as_told(part) for part in parts],
            }
            for file, parts in files
        ],
    }
    assert written == canonical(whole) + "\n"
    assert json.loads(written) == whole


def _as_told(part: IndexPart) -> dict[str, Any]:
    told: dict[str, Any] = {
        "sha256": part.sha256,
        "md5": part.md5,
        "size": part.size,
        "offset": part.offset,
        "length": part.length,
    }
    if part.zero:
        told["zero"] = True
    elif part.frames:
        told["frames"] = list(part.frames)
    return told


def test_it_is_written_as_its_parts_come() -> None:
    taken = 0

    def parts() -> Any:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield IndexPart(sha256="s", md5="m", size=1, offset=number, length=1)

    file = IndexFile(name="n", size=1, md5="m", sha256="s", disk=1, source_size=1)
    pieces = write_index({"kind": "raw"}, [(file, parts())])
    for _ in range(5):
        next(pieces)
    assert taken < 10


def test_a_header_that_would_break_the_order_is_refused() -> None:
    with pytest.raises(ValueError, match="files"):
        b"".join(write_index({"account": "a"}, []))
