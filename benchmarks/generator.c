/*
 * Load generator: sends RADIUS requests that were prepared beforehand and times their replies.
 *
 *   generator HOST PORT FILE SECONDS SOCKETS WINDOW RATE FIRST ONCE DUMP EVERY
 *
 * FILE    "LGB1", then records: u16 length (big-endian), u8 expected reply code, the packet.
 * WINDOW  requests in flight on each socket (closed loop); unused when RATE > 0.
 * RATE    0: closed loop, as fast as the server answers. Else requests per second, in even bursts
 *         of a fifth of a millisecond, whatever the server does (open loop); latency then counts
 *         from the planned instant.
 * FIRST   the chunk to start at. ONCE=1: stop at the end of FILE, else start over.
 * DUMP    file that gets one in EVERY replies: u32 record number, u16 length, the packet. "-": none.
 *
 * Packets are never altered, so the Identifier of a packet is fixed. FILE is cut into chunks of 256
 * records with Identifiers 0..255; a socket takes a whole chunk, then the next that nobody took, so
 * one file serves any number of sockets. One JSON line is printed at the end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256, BATCH = 64, MAX_SOCKETS = 64, MAX_PACKET = 4096, TRIES = 4 };

static const int64_t SECOND = 1000000000;
static const int64_t BURSTS = 5000; /* a second, in the open loop: each wakes us once, whatever the rate */
static const int64_t RETRY_AFTER = 1000000000; /* a router's second try; long enough to be rare */

typedef struct {
    const uint8_t *data;
    uint16_t length;
    uint8_t expected;
} record_t;

typedef struct {
    uint32_t record;
    int64_t planned; /* when it should have been sent (closed loop: when it was) */
    int64_t sent;    /* first transmission */
    int64_t last;    /* latest transmission */
    uint8_t tries;
    bool busy;
} slot_t;

typedef struct {
    int fd;
    uint32_t next, end; /* what is left of the chunk this socket took */
    uint32_t in_flight;
    slot_t slots[CHUNK];
    uint8_t queue[BATCH]; /* Identifiers to send in the next batch */
    uint32_t queued;
} socket_t;

typedef struct {
    uint32_t *values; /* tenths of a microsecond */
    size_t count, room;
} samples_t;

static record_t *records;
static uint32_t record_count, chunk_count, next_chunk;
static bool once, exhausted;
static socket_t sockets[MAX_SOCKETS];
static int socket_count;
static samples_t from_planned, from_sent;
static uint64_t sent, replies[256], in_time, mismatched, stray, lost, retransmitted, skipped, refused;
static int64_t stop_at, last_reply;
static FILE *dump;
static uint64_t dump_every, dump_counter;

static void fail(const char *what)
{
    fprintf(stderr, "generator: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void load(const char *path)
{
    int fd = open(path, O_RDONLY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        fail(path);
    const uint8_t *at = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED)
        fail(path);
    const uint8_t *end = at + status.st_size;
    errno = EINVAL;
    if (status.st_size < 4 || memcmp(at, "LGB1", 4) != 0)
        fail(path);
    size_t room = 0;
    for (at += 4; at + 3 <= end; at += 3 + records[record_count++].length) {
        if (record_count == room) {
            room = room ? room * 2 : 65536;
            records = realloc(records, room * sizeof *records);
            if (!records)
                fail("records");
        }
        uint16_t length = (uint16_t)(at[0] << 8 | at[1]);
        if (length < 20 || at + 3 + length > end || at[4] != record_count % CHUNK)
            fail(path);
        records[record_count] = (record_t){.data = at + 3, .length = length, .expected = at[2]};
    }
    chunk_count = record_count / CHUNK;
    if (chunk_count == 0)
        fail(path);
    close(fd);
}

static void add_sample(samples_t *samples, int64_t nanoseconds)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 1 << 20;
        samples->values = realloc(samples->values, samples->room * sizeof *samples->values);
        if (!samples->values)
            fail("samples");
    }
    samples->values[samples->count++] = (uint32_t)(nanoseconds / 100);
}

/* The Identifier of the next record this socket may send, or -1 when the file is used up or every Identifier is in use. */
static int take(socket_t *s)
{
    if (s->in_flight == CHUNK) {
        skipped++;
        return -1;
    }
    for (;;) {
        if (s->next == s->end) {
            if (next_chunk == chunk_count) {
                if (once) {
                    exhausted = true;
                    return -1;
                }
                next_chunk = 0;
            }
            s->next = next_chunk++ * CHUNK;
            s->end = s->next + CHUNK;
        }
        uint32_t record = s->next++;
        slot_t *slot = &s->slots[record % CHUNK];
        if (!slot->busy) {
            slot->record = record;
            return (int)(record % CHUNK);
        }
        skipped++; /* still waiting for this Identifier's last reply, 256 requests ago */
    }
}

/* Sends the packets of the queued Identifiers, without changing any slot but for its times. */
static void transmit(socket_t *s)
{
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    memset(messages, 0, s->queued * sizeof *messages);
    for (uint32_t i = 0; i < s->queued; i++) {
        const record_t *record = &records[s->slots[s->queue[i]].record];
        vectors[i] = (struct iovec){.iov_base = (void *)record->data, .iov_len = record->length};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int64_t now = now_ns();
    for (uint32_t done = 0; done < s->queued;) {
        int count = sendmmsg(s->fd, messages + done, s->queued - done, 0);
        if (count < 0) {
            if (errno != ECONNREFUSED && errno != EINTR && errno != ENOBUFS)
                fail("sendmmsg");
            refused++; /* nobody listens: the packet counts as sent and will be tried again */
            count = 1;
        }
        done += (uint32_t)count;
    }
    for (uint32_t i = 0; i < s->queued; i++) {
        slot_t *slot = &s->slots[s->queue[i]];
        if (slot->tries == 0) {
            slot->sent = now;
            sent++;
        } else {
            retransmitted++;
        }
        slot->last = now;
        slot->tries++;
    }
    s->queued = 0;
}

static void enqueue(socket_t *s, int identifier)
{
    if (s->queued == BATCH)
        transmit(s);
    s->queue[s->queued++] = (uint8_t)identifier;
}

static bool start_request(socket_t *s, int64_t planned)
{
    int identifier = take(s);
    if (identifier < 0)
        return false;
    slot_t *slot = &s->slots[identifier];
    slot->busy = true;
    slot->tries = 0;
    slot->planned = planned;
    s->in_flight++;
    enqueue(s, identifier);
    return true;
}

static void accept_reply(socket_t *s, const uint8_t *packet, uint32_t length, int64_t now)
{
    slot_t *slot = &s->slots[packet[1]];
    if (length < 20 || !slot->busy) {
        stray++;
        return;
    }
    slot->busy = false;
    s->in_flight--;
    replies[packet[0]]++;
    last_reply = now;
    in_time += now <= stop_at;
    mismatched += packet[0] != records[slot->record].expected;
    add_sample(&from_planned, now - (slot->planned ? slot->planned : slot->sent));
    add_sample(&from_sent, now - slot->sent);
    if (dump && dump_counter++ % dump_every == 0) {
        uint8_t head[6] = {(uint8_t)(slot->record >> 24), (uint8_t)(slot->record >> 16), (uint8_t)(slot->record >> 8),
                           (uint8_t)slot->record, (uint8_t)(length >> 8), (uint8_t)length};
        if (fwrite(head, sizeof head, 1, dump) != 1 || fwrite(packet, length, 1, dump) != 1)
            fail("dump");
    }
}

static void receive(socket_t *s)
{
    static uint8_t buffers[BATCH][MAX_PACKET];
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){.iov_base = buffers[i], .iov_len = MAX_PACKET};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(s->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
            fail("recvmmsg");
        return;
    }
    int64_t now = now_ns();
    for (int i = 0; i < count; i++)
        accept_reply(s, buffers[i], messages[i].msg_len, now);
}

static void retry(int64_t now)
{
    for (int i = 0; i < socket_count; i++) {
        socket_t *s = &sockets[i];
        for (int identifier = 0; identifier < CHUNK; identifier++) {
            slot_t *slot = &s->slots[identifier];
            if (!slot->busy || now - slot->last < RETRY_AFTER)
                continue;
            if (slot->tries == TRIES) {
                slot->busy = false;
                s->in_flight--;
                lost++;
            } else {
                enqueue(s, identifier);
            }
        }
        transmit(s);
    }
}

static void open_sockets(const char *host, int port)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &server.sin_addr) != 1)
        fail(host);
    for (int i = 0; i < socket_count; i++) {
        int room = 4 << 20;
        sockets[i].fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (sockets[i].fd < 0 || connect(sockets[i].fd, (struct sockaddr *)&server, sizeof server) < 0)
            fail("socket");
        setsockopt(sockets[i].fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, samples_t *samples)
{
    static const struct { const char *name; double share; } points[] = {
        {"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
    qsort(samples->values, samples->count, sizeof *samples->values, compare);
    printf(", \"%s\": {", name);
    for (int i = 0; i < 4; i++) {
        size_t at = samples->count ? (size_t)(points[i].share * (double)(samples->count - 1)) : 0;
        printf("%s\"%s\": %.1f", i ? ", " : "", points[i].name, samples->count ? samples->values[at] / 10.0 : 0.0);
    }
    printf("}");
}

static void report(int64_t started)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    /* A run that used up its file ended with the last reply, not at the planned instant. */
    int64_t ended = exhausted && last_reply < stop_at ? last_reply : stop_at;
    double seconds = (double)(ended - started) / SECOND;
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
               + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"seconds\": %.6f, \"sent\": %lu, \"answered\": %lu, \"in_time\": %lu, \"rate\": %.1f, \"codes\": {", seconds, sent,
           from_sent.count, in_time, (double)in_time / seconds);
    const char *comma = "";
    for (int code = 0; code < 256; code++) {
        if (replies[code]) {
            printf("%s\"%d\": %lu", comma, code, replies[code]);
            comma = ", ";
        }
    }
    printf("}, \"mismatched\": %lu, \"stray\": %lu, \"lost\": %lu, \"retransmitted\": %lu, \"skipped\": %lu, \"refused\": %lu", mismatched,
           stray, lost, retransmitted, skipped, refused);
    printf(", \"exhausted\": %s, \"next_chunk\": %u, \"cpu\": %.3f", exhausted ? "true" : "false", next_chunk, cpu);
    print_samples("latency_us", &from_planned);
    print_samples("service_us", &from_sent);
    printf("}\n");
}

int main(int argc, char **argv)
{
    errno = EINVAL;
    if (argc != 12)
        fail("usage: HOST PORT FILE SECONDS SOCKETS WINDOW RATE FIRST ONCE DUMP EVERY");
    load(argv[3]);
    double seconds = atof(argv[4]), rate = atof(argv[7]);
    socket_count = atoi(argv[5]);
    uint32_t window = (uint32_t)atoi(argv[6]);
    next_chunk = (uint32_t)atoi(argv[8]) % chunk_count;
    once = atoi(argv[9]) == 1;
    dump_every = strtoul(argv[11], NULL, 10);
    if (socket_count < 1 || socket_count > MAX_SOCKETS || window < 1 || window > CHUNK - 1 || seconds <= 0 || dump_every < 1)
        fail("arguments");
    if (strcmp(argv[10], "-") != 0 && !(dump = fopen(argv[10], "wb")))
        fail(argv[10]);
    open_sockets(argv[1], atoi(argv[2]));
    prctl(PR_SET_TIMERSLACK, 1000UL);

    struct pollfd watched[MAX_SOCKETS];
    for (int i = 0; i < socket_count; i++)
        watched[i] = (struct pollfd){.fd = sockets[i].fd, .events = POLLIN};
    int64_t started = now_ns(), next_retry = started + SECOND / 20, give_up;
    uint64_t planned = 0, burst = rate > BURSTS ? (uint64_t)(rate / BURSTS) : 1;
    stop_at = started + (int64_t)(seconds * SECOND);
    give_up = stop_at + TRIES * RETRY_AFTER;

    for (;;) {
        int64_t now = now_ns(), wake = next_retry;
        bool sending = now < stop_at && !exhausted;
        uint32_t waiting = 0;
        if (sending && rate > 0) {
            int64_t due;
            while ((due = started + (int64_t)((double)(planned / burst * burst) * SECOND / rate)) <= now)
                if (!start_request(&sockets[planned++ % (uint64_t)socket_count], due))
                    break;
            wake = due < wake ? due : wake;
        }
        for (int i = 0; i < socket_count; i++) {
            socket_t *s = &sockets[i];
            while (sending && rate <= 0 && s->in_flight < window && start_request(s, 0))
                continue;
            transmit(s);
            waiting += s->in_flight;
        }
        if (!sending && (waiting == 0 || now > give_up)) {
            lost += waiting;
            break;
        }
        if (now >= next_retry) {
            retry(now);
            next_retry = now + SECOND / 20;
            continue;
        }
        int64_t pause = wake > now ? wake - now : 0;
        if (ppoll(watched, (nfds_t)socket_count, &(struct timespec){.tv_sec = pause / SECOND, .tv_nsec = pause % SECOND}, NULL) > 0)
            for (int i = 0; i < socket_count; i++)
                if (watched[i].revents)
                    receive(&sockets[i]);
    }
    if (dump && fclose(dump) != 0)
        fail("dump");
    report(started);
    return 0;
}
