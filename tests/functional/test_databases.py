"""The databases that the suite runs on are real, and each test's own."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from portal.records.engine import make_engine


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_migrated_database_of_its_own(database_url: str, turn: int) -> None:
    engine = make_engine(database_url)
    try:
        with engine.begin() as connection:
            assert connection.scalar(text("SELECT count(*) FROM accounts")) == 0
            connection.execute(text("CREATE TABLE left_by_a_test (turn integer)"))
    finally:
        engine.dispose()


def test_an_empty_database_has_no_table(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    try:
        assert inspect(engine).get_table_names() == []
    finally:
        engine.dispose()
