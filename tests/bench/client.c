// SPDX-License-Identifier: GPL-2.0
/*
 * A minimal client, as a yardstick for echotest and rpctest: one TCP connection with so many requests in flight, and for each
 * request one call that sends and one that receives, two readings of the clock, a latency counted, and the least that must
 * be compared. It is no tool: what is wrong ends it.
 *
 *   client [-t] echo PORT DEPTH COUNT [LENGTH]
 *   client [-t] null PORT DEPTH COUNT PROGRAM VERSION
 *
 * With -t it does not wait for ever: its socket has a timeout (SO_RCVTIMEO).
 *
 * Prints the nanoseconds that a request took, and the processor time of this process among them.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MAX_DEPTH 1024
#define MAX_LENGTH 4096
#define BUCKETS (1 << 20)
#define BUCKET_NS 32

/* What follows the record mark and the xid: a call of a procedure 0, and the reply to it, both with AUTH_NONE. */
struct call {
	uint32_t mark, xid, type, rpc_version, program, version, procedure, credential[2], verifier[2];
};
struct reply {
	uint32_t mark, xid, type, status, verifier[2], accepted;
};

static uint64_t sent_at[MAX_DEPTH];
static uint32_t latencies[BUCKETS];
static union {
	struct call call;
	unsigned char bytes[MAX_LENGTH];
} request;
static union {
	struct reply reply;
	unsigned char bytes[MAX_LENGTH];
} answer;
static size_t request_length, answer_length;
static int is_rpc;

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void send_request(int socket, uint32_t number)
{
	sent_at[number % MAX_DEPTH] = now(CLOCK_MONOTONIC);
	if (is_rpc)
		request.call.xid = htonl(number);
	else
		memcpy(request.bytes, &number, sizeof(number));
	if (send(socket, &request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
		err(1, "send");
}

static void receive_answer(int socket, uint32_t number)
{
	uint64_t latency;

	if (recv(socket, &answer, answer_length, MSG_WAITALL) != (ssize_t)answer_length)
		err(1, "recv");
	if (is_rpc) {
		if (answer.reply.xid != htonl(number) || answer.reply.status || answer.reply.accepted)
			errx(1, "a wrong reply");
	} else {
		memcpy(request.bytes, &number, sizeof(number));
		if (memcmp(answer.bytes, request.bytes, answer_length))
			errx(1, "a wrong echo");
	}
	latency = (now(CLOCK_MONOTONIC) - sent_at[number % MAX_DEPTH]) / BUCKET_NS;
	latencies[latency < BUCKETS ? latency : BUCKETS - 1]++;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint32_t depth, count, sent = 0, answered = 0;
	uint64_t start, start_cpu;
	struct timeval timeout = { .tv_sec = 10 };
	int socket_fd, on = 1, has_timeout;

	has_timeout = argc > 1 && !strcmp(argv[1], "-t");
	argc -= has_timeout;
	argv += has_timeout;
	if (argc < 5)
		errx(2, "usage: client [-t] echo|null PORT DEPTH COUNT [LENGTH | PROGRAM VERSION]");
	server.sin_port = htons(atoi(argv[2]));
	depth = atoi(argv[3]);
	count = atoi(argv[4]);
	is_rpc = !strcmp(argv[1], "null");
	if (is_rpc) {
		if (argc != 7)
			errx(2, "null takes a program and a version");
		request.call.mark = htonl(0x80000000 | (sizeof(struct call) - sizeof(uint32_t)));
		request.call.rpc_version = htonl(2);
		request.call.program = htonl(atoi(argv[5]));
		request.call.version = htonl(atoi(argv[6]));
		request_length = sizeof(struct call);
		answer_length = sizeof(struct reply);
	} else {
		request_length = answer_length = argc > 5 ? atoi(argv[5]) : 32;
	}
	if (depth < 1 || depth > MAX_DEPTH || count < depth || request_length < 4 || request_length > MAX_LENGTH)
		errx(2, "out of range");

	socket_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (socket_fd < 0 || connect(socket_fd, (struct sockaddr *)&server, sizeof(server)))
		err(1, "connect");
	if (setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		err(1, "TCP_NODELAY");
	if (has_timeout && setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		err(1, "SO_RCVTIMEO");

	start = now(CLOCK_MONOTONIC);
	start_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	while (sent < depth)
		send_request(socket_fd, sent++);
	while (answered < count) {
		receive_answer(socket_fd, answered++);
		if (sent < count)
			send_request(socket_fd, sent++);
	}
	printf("%.1f %.1f\n", (double)(now(CLOCK_MONOTONIC) - start) / count,
	       (double)(now(CLOCK_PROCESS_CPUTIME_ID) - start_cpu) / count);
	return 0;
}
