import json

import pyarrow.parquet as pq
import pytest

from r1ray.config.shards import ShardsConfig
from r1ray.data.shards.manifest import MANIFEST, utilisation
from r1ray.data.shards.packs import bucket_of
from r1ray.data.shards.rows import tokenise_row
from r1ray.data.shards.source import ShardSource
from r1ray.data.shards.writer import finish_shards, write_part, write_shards
from r1ray.errors import DataError
from r1ray.runs.files import hash_path
from tests.data.shards.helpers import TINY, corpus, make_shards
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
TOKENIZER.chat_template = None


def every_row(source: ShardSource):
    blocks = [source.read(number) for number in range(len(source))]
    return [block.row(index) for block in blocks for index in range(len(block))]


def test_what_is_written_is_read_back_token_for_token(tmp_path):
    found = {row.id: row for row in every_row(ShardSource(str(make_shards(tmp_path)), TOKENIZER))}
    expected = [piece for row in corpus(60) for piece in tokenise_row(row, TOKENIZER, TINY)]
    assert len(found) == len(expected)
    assert found == {row.id: row for row in expected}


def test_the_same_rows_give_the_same_bytes_and_other_rows_another_hash(tmp_path):
    assert hash_path(make_shards(tmp_path / "a")) == hash_path(make_shards(tmp_path / "b"))
    one, other = (ShardSource(str(tmp_path / name)).manifest for name in ("a", "b"))
    assert one.content_hash == other.content_hash
    assert ShardSource(str(make_shards(tmp_path / "c", rows=59))).manifest.content_hash != one.content_hash


def test_rows_of_a_block_are_of_like_length_and_packs_fit(tmp_path):
    source = ShardSource(str(make_shards(tmp_path, rows=200)))
    assert len(source.manifest.files) > 2
    for number, entry in enumerate(source.entries):
        block = source.read(number)
        lengths = [len(block.row(index).token_ids) for index in range(len(block))]
        assert {bucket_of(length) for length in lengths} == {entry.bucket}
        assert sum(lengths) == entry.tokens <= TINY.block_tokens
        assert len(block.packs) == entry.packs
        assert all(sum(lengths[row] for row in pack) <= TINY.pack_tokens for pack in block.packs)


def test_the_manifest_counts_what_is_there(tmp_path):
    rows = every_row(ShardSource(str(make_shards(tmp_path))))
    found = json.loads((tmp_path / MANIFEST).read_text())
    assert found["counts"]["rows"] == len(rows)
    assert found["counts"]["tokens"] == sum(len(row.token_ids) for row in rows)
    assert found["counts"]["learned_tokens"] == sum(sum(row.tokens.response_mask) for row in rows)
    assert 0.5 < found["counts"]["pack_fill"] <= 1


def test_other_readers_open_the_files(tmp_path):
    table = pq.read_table(make_shards(tmp_path) / "part-00000-00000.parquet")
    assert table.column("length").to_pylist() == [len(ids) for ids in table.column("token_ids").to_pylist()]


def test_parts_written_apart_make_one_set_and_bad_rows_are_counted(tmp_path):
    rows = [*corpus(30), {"text": ""}]
    parts = [write_part(rows[start::2], tmp_path, start, TOKENIZER, TINY) for start in (0, 1)]
    again = write_part(rows[1::2], tmp_path, 1, TOKENIZER, TINY)
    assert again == parts[1]
    manifest = finish_shards(tmp_path, parts, TOKENIZER, TINY)
    assert (manifest.counts["corpus_rows"], manifest.skipped) == (30, {"no text": 1})
    assert utilisation(manifest, 40) == 0.75
    with pytest.raises(DataError, match="30 rows ended in shards"):
        utilisation(manifest, 29)
    assert len(every_row(ShardSource(str(tmp_path)))) == sum(
        len(tokenise_row(row, TOKENIZER, TINY)) for row in rows[:-1]
    )


def test_nothing_to_learn_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no text"):
        write_shards([{"text": ""}], tmp_path, TOKENIZER, ShardsConfig())


def test_a_failure_leaves_no_manifest_and_no_half_file(tmp_path):
    def rows():
        yield from corpus(20)
        raise RuntimeError("the reader died")

    with pytest.raises(RuntimeError, match="reader died"):
        write_shards(rows(), tmp_path, TOKENIZER, TINY)
    assert not list(tmp_path.glob("*.tmp")) and not (tmp_path / MANIFEST).exists()
    with pytest.raises(DataError, match=MANIFEST):
        ShardSource(str(tmp_path))


def test_shards_of_another_tokenizer_or_template_are_refused(tmp_path):
    make_shards(tmp_path)
    with pytest.raises(DataError, match="another chat template"):
        ShardSource(str(tmp_path), make_tiny_tokenizer())
    larger = make_tiny_tokenizer()
    larger.chat_template = None
    larger.add_tokens(["hello"])
    with pytest.raises(DataError, match="another tokenizer"):
        ShardSource(str(tmp_path), larger)


def test_padding_asked_of_the_tokenizer_does_not_change_its_hash(tmp_path):
    make_shards(tmp_path)
    used = make_tiny_tokenizer()
    used.chat_template = None
    used(["a", "bc"], padding=True, truncation=True, max_length=5)
    assert len(ShardSource(str(tmp_path), used)) > 0


@pytest.mark.parametrize("where", [100, 2000])
def test_a_damaged_shard_is_found_out(tmp_path, where):
    make_shards(tmp_path)
    path = tmp_path / "part-00000-00000.parquet"
    content = bytearray(path.read_bytes())
    content[where] ^= 0xFF
    path.write_bytes(content)
    source = ShardSource(str(tmp_path))
    with pytest.raises(DataError, match="anew"):
        [source.read(number) for number in range(len(source))]


def test_a_manifest_changed_by_hand_is_found_out(tmp_path):
    make_shards(tmp_path)
    found = json.loads((tmp_path / MANIFEST).read_text())
    found["tokenizer"] = "0" * 64
    (tmp_path / MANIFEST).write_text(json.dumps(found))
    with pytest.raises(DataError, match="contradicts"):
        ShardSource(str(tmp_path))
