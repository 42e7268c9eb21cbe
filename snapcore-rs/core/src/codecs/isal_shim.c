/* The two calls of ISA-L that snapcore makes. Compiled against the installed <isa-l.h>, so that its
 * struct layouts never have to be known to Rust. */
#include <isa-l.h>
#include <stdint.h>
#include <string.h>

/* Level 1 with room for 64 Ki tokens a block. Measured on a Debian ext4 disk (Zen 4, one thread, 1 MiB
 * frames; MB/s, and the compressed share): level 0 524 .4396; level 1 with 16 Ki tokens 444 .3816,
 * 32 Ki 447 .3841, 64 Ki 529 .3865, 128 Ki 524 .3888; level 2 with 64 Ki 502 .3816; level 3 272 .3741. */
#define LEVEL 1
#define LEVEL_BUFFER ISAL_DEF_LVL1_LARGE

/* What a compressor needs: one per thread, owned by the caller as plain bytes. */

struct snapcore_isal_deflate {
	struct isal_zstream stream;
	uint8_t level_buffer[LEVEL_BUFFER];
};

size_t snapcore_isal_deflate_size(void)
{
	return sizeof(struct snapcore_isal_deflate);
}

/* Raw deflate blocks, none final, ending on a byte. Gives the bytes written, or a negative code.
 * Nothing looks back further than 2^window_bits bytes. */
int64_t snapcore_isal_deflate(struct snapcore_isal_deflate *self, const uint8_t *in, uint32_t in_length,
			      uint8_t *out, uint32_t out_capacity, uint32_t window_bits)
{
	int code;

	/* Nothing of an earlier frame may reach the output: same frame, same bytes. Costs 1 % at most. */
	memset(self, 0, sizeof(*self));
	isal_deflate_stateless_init(&self->stream);
	self->stream.level = LEVEL;
	self->stream.level_buf = self->level_buffer;
	self->stream.level_buf_size = sizeof(self->level_buffer);
	self->stream.hist_bits = window_bits;
	self->stream.flush = FULL_FLUSH;
	self->stream.end_of_stream = 0;
	self->stream.next_in = (uint8_t *) in;
	self->stream.avail_in = in_length;
	self->stream.next_out = out;
	self->stream.avail_out = out_capacity;
	code = isal_deflate_stateless(&self->stream);
	if (code != COMP_OK)
		return code < 0 ? code : -100 - code;
	if (self->stream.avail_in != 0)
		return -200;
	return self->stream.total_out;
}

size_t snapcore_isal_inflate_size(void)
{
	return sizeof(struct inflate_state);
}

void snapcore_isal_inflate_begin(struct inflate_state *self)
{
	isal_inflate_init(self);
	self->crc_flag = ISAL_DEFLATE;
}

/* One step: moves *in_length and *out_length to what was used. Gives 1 after the final block, 0 before,
 * or a negative ISA-L code. */
int snapcore_isal_inflate(struct inflate_state *self, const uint8_t *in, uint32_t *in_length, uint8_t *out,
			  uint32_t *out_length)
{
	int code;

	self->next_in = (uint8_t *) in;
	self->avail_in = *in_length;
	self->next_out = out;
	self->avail_out = *out_length;
	code = isal_inflate(self);
	*in_length -= self->avail_in;
	*out_length -= self->avail_out;
	if (code < 0)
		return code;
	return self->block_state == ISAL_BLOCK_FINISH;
}
