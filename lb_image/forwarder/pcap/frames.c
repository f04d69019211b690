// SPDX-License-Identifier: Apache-2.0

#include "frames.h"

#include <stdio.h>

#define US_PER_S 1000000u

uint64_t frame_time_us(const struct frame_source *source) {
	return (uint64_t)source->header->ts.tv_sec * US_PER_S
		+ (uint64_t)source->header->ts.tv_usec;
}

bool frame_source_open(struct frame_source *source, const char *path) {
	char reason[PCAP_ERRBUF_SIZE];

	source->file = pcap_open_offline(path, reason);
	if (source->file == NULL) {
		fprintf(stderr, "%s: %s\n", path, reason);
		return false;
	}
	frame_source_next(source);
	return true;
}

void frame_source_next(struct frame_source *source) {
	if (pcap_next_ex(source->file, &source->header, &source->data) != 1)
		source->data = NULL;
}

void frame_source_close(struct frame_source *source) {
	if (source->file != NULL)
		pcap_close(source->file);
}

bool frame_sink_open(struct frame_sink *sink, const char *path) {
	sink->file = pcap_open_dead(DLT_EN10MB, FRAME_MAX);
	if (sink->file == NULL)
		return false;
	sink->dumper = pcap_dump_open(sink->file, path);
	if (sink->dumper == NULL)
		fprintf(stderr, "%s: %s\n", path, pcap_geterr(sink->file));
	return sink->dumper != NULL;
}

void frame_sink_write(
	struct frame_sink *sink, uint64_t time_us, const uint8_t *data, uint16_t len
) {
	struct pcap_pkthdr header = {
		.ts = {.tv_sec = (time_t)(time_us / US_PER_S),
		       .tv_usec = (suseconds_t)(time_us % US_PER_S)},
		.caplen = len,
		.len = len,
	};

	pcap_dump((u_char *)sink->dumper, &header, data);
}

void frame_sink_close(struct frame_sink *sink) {
	if (sink->dumper != NULL)
		pcap_dump_close(sink->dumper);
	if (sink->file != NULL)
		pcap_close(sink->file);
}
