"""Token shards: a release's documents as ids under one tokenizer, in files that a trainer maps into memory.

    tokens/NAME@VERSION/TOKENIZER/
      train/DOMAIN/DOMAIN-00000-of-00003.ids       ids end to end, uint16 or uint32, little-endian, without any special token between documents
      train/DOMAIN/DOMAIN-00000-of-00003.offsets   where each document begins among them, and the last ends: documents + 1 int64, little-endian
      train/DOMAIN/DOMAIN-00000-of-00003.arrow     a row a document: id, repeats, and what the schedule selects by (Arrow IPC, not compressed)
      validation/DOMAIN/…                          the same of what is held out
      tokenizer.json  mixture.json  schedule.json  copies: the folder is enough to train on
      manifest.json                                what of which release, counts, sha256 and size of every file; written last

One token shard is made of one Parquet shard, and its rows stand in that shard's order, so any other column of the release is found by position. Ids hold
a document's own tokens only: their number is the release's `token_count`, which is compared as they are written. Whoever packs them puts `eos` between.

Bytes depend on the release and the tokenizer, not on device, processes, batches, or kills. Memory: a row group and its ids in each process.
"""

from pipeline.token_shards.formats import export_tokens
from pipeline.token_shards.read import TokenRelease, Tokens, TokenShard, holds_tokens, open_tokens
from pipeline.token_shards.write import write_tokens

__all__ = ["TokenRelease", "TokenShard", "Tokens", "export_tokens", "holds_tokens", "open_tokens", "write_tokens"]
