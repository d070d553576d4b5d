import pytest

from r1ray.data.shards.by_id import ShardRows
from r1ray.data.shards.rows import tokenise_row
from r1ray.data.shards.source import ShardSource
from r1ray.data.shards.writer import write_shards
from r1ray.errors import DataError
from tests.data.shards.helpers import TINY, corpus, loader_config, make_shards
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
TOKENIZER.chat_template = None


def test_every_row_is_found_by_its_id_in_any_order_and_fetched_ahead_or_not(tmp_path):
    source = ShardSource(str(make_shards(tmp_path / "shards")))
    expected = {piece.id: piece.tokens for row in corpus(60) for piece in tokenise_row(row, TOKENIZER, TINY)}
    for share in (0.0, 0.2, 1.0):
        rows = ShardRows(source, loader_config(tmp_path / "cache", memory_share=share, disk_share=share))
        assert rows.lengths == {name: len(row.token_ids) for name, row in expected.items()}
        names = sorted(expected, key=lambda name: name[::-1])
        for start in range(0, len(names), 8):
            rows.fetch_ahead(names[start + 8 : start + 16])
            assert [rows[name] for name in names[start : start + 8]] == [
                expected[name] for name in names[start : start + 8]
            ]
        assert dict(rows) == expected
        rows.close()
        with pytest.raises(KeyError):
            rows["nobody"]


def test_two_rows_of_one_name_are_refused(tmp_path):
    write_shards([{"id": "a", "text": "one"}, {"id": "a", "text": "two and more"}], tmp_path, TOKENIZER, TINY)
    with pytest.raises(DataError, match="called 'a'"):
        ShardRows(ShardSource(str(tmp_path)), loader_config(tmp_path / "cache"))
