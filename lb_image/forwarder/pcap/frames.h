// SPDX-License-Identifier: Apache-2.0

// Frames from and to pcap files.

#pragma once

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX 9216

struct frame_source {
	pcap_t *file;
	const u_char *data; // next frame, NULL at the end
	struct pcap_pkthdr *header;
};

struct frame_sink {
	pcap_t *file;
	pcap_dumper_t *dumper;
};

// Microseconds since the epoch.
uint64_t frame_time_us(const struct frame_source *source);

// Opens and reads the first frame. False with the reason on stderr.
bool frame_source_open(struct frame_source *source, const char *path);
void frame_source_next(struct frame_source *source);
void frame_source_close(struct frame_source *source);

bool frame_sink_open(struct frame_sink *sink, const char *path);
void frame_sink_write(struct frame_sink *sink, uint64_t time_us, const uint8_t *data, uint16_t len);
void frame_sink_close(struct frame_sink *sink);
