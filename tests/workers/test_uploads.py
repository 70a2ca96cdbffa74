import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import UnreadableAnswer
from workers.identifiers import is_job_id
from workers.uploads import Stock, UploadedFile, Uploads, read_stock, read_uploads

NAMES = ("subSize", "usedSize", "usedSizePercent", "totalSize", "files", "id", "jobId", "size", "at", "used_mb")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["12.5", "-1", "file_1", "job_1", "../x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)
AMOUNTS = st.none() | st.floats(0, 1e9)


def test_what_the_documents_show():
    file = {"id": "file_1", "jobId": "job_1", "size": 9211004, "name": "a.mp4"}
    document = {"subSize": 1000, "usedSize": 12.5, "usedSizePercent": 1.25, "files": [file, {"id": "file_2"}]}
    files = (UploadedFile("file_1", "job_1", 9211004), UploadedFile("file_2"))
    assert read_uploads(document) == Uploads(12.5, 1000.0, 1.25, 2, files)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"usedSize": "96", "totalSize": "100"}, Uploads(96.0, 100.0, 96.0)),
        ({"usedSize": 5, "subSize": 0}, Uploads(5.0, 0.0)),
        ({"usedSize": 5}, Uploads(5.0)),
        ({"usedSize": -5, "subSize": 10, "files": []}, Uploads(None, 10.0, count=0)),
        ({"usedSize": 0, "subSize": 100, "files": "many"}, Uploads(0.0, 100.0, 0.0)),
        ({"files": [{"id": "../x"}, {"id": 7}, None]}, Uploads(count=3)),
        ({"files": [{"id": "f", "jobId": "a/b", "size": -1}]}, Uploads(count=1, files=(UploadedFile("f"),))),
    ],
)
def test_other_dialects(document, found):
    assert read_uploads(document) == found


@pytest.mark.parametrize("document", [None, [], "x", {}, {"message": "later"}, {"usedSize": "much"}])
def test_what_is_no_storage_is_refused(document):
    with pytest.raises(UnreadableAnswer):
        read_uploads(document)


@given(VALUES)
def test_any_document_is_read_or_refused(document):
    with suppress(UnreadableAnswer):
        found = read_uploads(document)
        assert all(amount is None or amount >= 0 for amount in (found.used_mb, found.total_mb, found.used_percent))
        assert len(found.files) <= (found.count or 0)
        assert all(is_job_id(file.id) and (file.job_id is None or is_job_id(file.job_id)) for file in found.files)
        json.dumps(Stock.of(found, 1.0).as_json(), allow_nan=False)


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.none() | st.integers(0, 10**6), st.floats(0, 1e11))
def test_what_is_kept_comes_back(used, total, percent, files, at):
    stock = Stock(used, total, percent, files, at)
    assert read_stock(stock.as_json().encode()) == stock


@given(st.none() | st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_kept_can_be_read(raw):
    found = read_stock(raw)
    assert found is None or found.at is not None


@pytest.mark.parametrize(("percent", "short"), [(None, False), (79.9, False), (80.0, True), (120.0, True)])
def test_when_it_is_short(percent, short):
    assert Stock(1.0, 1.0, percent, 0, 0.0).is_short(80) is short
