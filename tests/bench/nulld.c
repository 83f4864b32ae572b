// SPDX-License-Identifier: GPL-2.0
/*
 * A minimal ONC RPC server for tests/bench/client: answers every call over TCP, one connection after the other, as a NULL
 * that succeeds. It takes as many calls as have come, and sends the replies to all of them with one call.
 *
 *   nulld PORT
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LAST_FRAGMENT 0x80000000
#define MAX_CALL 1024
#define ROOM 65536

static unsigned char calls[ROOM];
/* A reply is shorter than the shortest call. */
static uint32_t replies[ROOM / sizeof(uint32_t)];

/* Answers all calls that are whole; returns how many bytes they have. */
static size_t answer(int socket, size_t length)
{
	uint32_t header[2], *reply = replies, size;
	size_t at = 0;

	while (length - at >= sizeof(header)) {
		memcpy(header, calls + at, sizeof(header));
		size = ntohl(header[0]) & ~LAST_FRAGMENT;
		if (!(ntohl(header[0]) & LAST_FRAGMENT) || size < 40 || size > MAX_CALL)
			errx(1, "no call of NULL in one fragment");
		if (length - at < sizeof(uint32_t) + size)
			break;
		at += sizeof(uint32_t) + size;
		memset(reply, 0, 28);
		reply[0] = htonl(LAST_FRAGMENT | 24);
		reply[1] = header[1];
		reply[2] = htonl(1);
		reply += 7;
	}
	size = (unsigned char *)reply - (unsigned char *)replies;
	if (size && send(socket, replies, size, MSG_NOSIGNAL) != size)
		return 0;
	return at;
}

static void serve(int socket)
{
	size_t length = 0, done;
	ssize_t received;

	while ((received = recv(socket, calls + length, ROOM - length, 0)) > 0) {
		length += received;
		done = answer(socket, length);
		length -= done;
		memmove(calls, calls + done, length);
	}
	close(socket);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0), connection, on = 1;

	if (argc != 2)
		errx(2, "usage: nulld PORT");
	address.sin_port = htons(atoi(argv[1]));
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 16))
		err(1, "port %s", argv[1]);
	puts("nulld: serving");
	fflush(stdout);
	while ((connection = accept(listener, NULL, NULL)) >= 0) {
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		serve(connection);
	}
	err(1, "accept");
}
