/*
 * The least a server can do: turns every request round with the reply's code and no attributes, to show how fast
 * generator.c is when nothing else costs time. Usage: responder PORT (127.0.0.1); ends with a signal.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, ROOM = 4096 };

int main(int argc, char **argv)
{
    static uint8_t buffers[BATCH][ROOM];
    static struct sockaddr_in peers[BATCH];
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (argc != 2 || fd < 0)
        return 1;
    here.sin_port = htons((uint16_t)atoi(argv[1]));
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0) {
        perror("responder: bind");
        return 1;
    }
    for (;;) {
        struct mmsghdr messages[BATCH];
        struct iovec vectors[BATCH];
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){.iov_base = buffers[i], .iov_len = ROOM};
            messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &peers[i], .msg_namelen = sizeof peers[i],
                                                       .msg_iov = &vectors[i], .msg_iovlen = 1}};
        }
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) {
            /* Access-Request 1 -> Accept 2, Accounting-Request 4 -> Response 5, Status-Server 12 -> Accept 2 */
            buffers[i][0] = buffers[i][0] == 4 ? 5 : 2;
            buffers[i][2] = 0;
            buffers[i][3] = 20;
            vectors[i].iov_len = 20;
        }
        if (count > 0)
            sendmmsg(fd, messages, (unsigned)count, 0);
    }
}
