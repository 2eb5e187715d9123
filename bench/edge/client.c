/*
 * Viewers for bench/edge.ts: one thread, epoll, bodies dropped inside the kernel (recv with MSG_TRUNC), so that the
 * client is never the limit. Prints one JSON line. Each connection comes from an address of its own in 127.1.0.0/16.
 *
 *   client load PORT CONNECTIONS WARM_MS SAMPLE_MS PATHS_FILE   keep-alive; prints "start" and "end" about the sample
 *   client herd PORT CONNECTIONS SPREAD_MS DEADLINE_MS PATHS_FILE   one request each, connected beforehand
 *   client slow PORT CONNECTIONS BYTES_PER_SECOND FOR_MS PATHS_FILE   small receive buffers, read at that pace
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_BYTES_MAX 16384
#define PATHS_MAX 4096
#define DROP_BYTES (8 << 20)
#define SLOW_RECEIVE_BYTES 65536
#define SLOW_STEP_NS 20000000LL

enum state { IDLE, HEAD, BODY, ENDED };

struct viewer {
  int fd;
  enum state state;
  int head_bytes;
  int next_path;
  int64_t left;
  int64_t asked_ns, first_ns, done_ns;
  int64_t taken;
  char head[HEAD_BYTES_MAX + 1];
};

static struct { char *text; int bytes; } requests[PATHS_MAX];
static int request_count, viewer_count, poll_fd;
static struct viewer *viewers;
static uint64_t answers, answer_bytes, failures;
static uint32_t *latencies;
static size_t latency_count, latency_room;
static char *drop;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static double cpu_seconds(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void read_paths(const char *file) {
  FILE *in = fopen(file, "r");
  char line[4096];
  if (!in) die(file);
  while (request_count < PATHS_MAX && fgets(line, sizeof line, in)) {
    line[strcspn(line, "\n")] = 0;
    int bytes = asprintf(&requests[request_count].text,
                         "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", line);
    requests[request_count++].bytes = bytes;
  }
  fclose(in);
  if (request_count == 0) die("no paths");
}

static void open_viewer(struct viewer *v, int number, int port, int receive_bytes) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in from = {.sin_family = AF_INET};
  int on = 1;
  v->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (v->fd < 0) die("socket");
  if (receive_bytes) setsockopt(v->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  setsockopt(v->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  from.sin_addr.s_addr = htonl(0x7f010000u + ((number / 250) << 8) + number % 250 + 1);
  if (bind(v->fd, (struct sockaddr *)&from, sizeof from)) die("bind");
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(v->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
  setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = v};
  if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, v->fd, &event)) die("epoll_ctl");
  v->state = IDLE;
  v->next_path = number % request_count;
}

static void ask(struct viewer *v) {
  int path = v->next_path;
  v->next_path = (path + 1) % request_count;
  v->state = HEAD;
  v->head_bytes = 0;
  v->first_ns = 0;
  v->taken = 0;
  v->asked_ns = now_ns();
  if (send(v->fd, requests[path].text, requests[path].bytes, MSG_NOSIGNAL) != requests[path].bytes) die("send");
}

static void give_up(struct viewer *v) {
  failures++;
  v->state = ENDED;
  close(v->fd);
  v->fd = -1;
}

static void note_latency(int64_t ns) {
  if (latency_count == latency_room) {
    latency_room = latency_room ? latency_room * 2 : 1 << 20;
    latencies = realloc(latencies, latency_room * sizeof *latencies);
    if (!latencies) die("memory");
  }
  latencies[latency_count++] = ns / 1000;
}

/* Bytes of the body that came with the head; -1 while the head is not whole, -2 when it cannot be used. */
static int64_t parse_head(struct viewer *v) {
  v->head[v->head_bytes] = 0;
  char *end = strstr(v->head, "\r\n\r\n");
  if (!end) return v->head_bytes >= HEAD_BYTES_MAX ? -2 : -1;
  if (v->head_bytes < 12 || v->head[9] != '2') return -2;
  char *length = strcasestr(v->head, "\r\nContent-Length:");
  if (!length || length > end) return -2;
  v->left = strtoll(length + 17, NULL, 10);
  int64_t extra = v->head_bytes - (end + 4 - v->head);
  v->left -= extra;
  return extra;
}

static void finish(struct viewer *v) {
  v->done_ns = now_ns();
  answers++;
  note_latency(v->done_ns - v->asked_ns);
  v->state = IDLE;
}

/* Takes what is there, at most `most` bytes; true when an answer is whole. */
static int take(struct viewer *v, size_t most) {
  if (v->state == HEAD) {
    ssize_t got = recv(v->fd, v->head + v->head_bytes, HEAD_BYTES_MAX - v->head_bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got <= 0) return give_up(v), 0;
    if (!v->first_ns) v->first_ns = now_ns();
    v->head_bytes += got;
    int64_t extra = parse_head(v);
    if (extra == -1) return 0;
    if (extra == -2 || v->left < 0) return give_up(v), 0;
    v->taken = extra;
    answer_bytes += extra;
    v->state = BODY;
  } else if (v->state == BODY) {
    size_t want = (size_t)v->left < most ? (size_t)v->left : most;
    ssize_t got = recv(v->fd, drop, want < DROP_BYTES ? want : DROP_BYTES, MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got <= 0) return give_up(v), 0;
    v->left -= got;
    v->taken += got;
    answer_bytes += got;
  } else {
    /* Nothing is asked: only an end may come. */
    char byte;
    if (recv(v->fd, &byte, 1, MSG_DONTWAIT) >= 0) give_up(v);
    return 0;
  }
  if (v->left > 0) return 0;
  finish(v);
  return 1;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static double quantile_ms(uint32_t *sorted, size_t count, double q) {
  if (count == 0) return -1;
  size_t at = q * count;
  return sorted[at < count ? at : count - 1] / 1000.0;
}

/* Busy polling: the server does not pay for waking the client. */
static void load(int64_t warm_ns, int64_t sample_ns) {
  struct epoll_event events[256];
  for (int i = 0; i < viewer_count; i++) ask(&viewers[i]);
  int64_t start = now_ns() + warm_ns, end = start + sample_ns;
  double cpu = 0;
  int sampling = 0;
  for (;;) {
    int count = epoll_wait(poll_fd, events, 256, 0);
    for (int i = 0; i < count; i++) {
      struct viewer *v = events[i].data.ptr;
      if (v->state != ENDED && take(v, DROP_BYTES)) ask(v);
    }
    int64_t now = now_ns();
    if (!sampling && now >= start) {
      sampling = 1;
      answers = answer_bytes = latency_count = 0;
      cpu = cpu_seconds();
      puts("start");
      fflush(stdout);
      start = now_ns();
      end = start + sample_ns;
    } else if (sampling && now >= end) {
      break;
    }
  }
  double seconds = (now_ns() - start) / 1e9;
  puts("end");
  fflush(stdout);
  qsort(latencies, latency_count, sizeof *latencies, compare);
  printf("{\"answers\":%lu,\"bytes\":%lu,\"seconds\":%f,\"failures\":%lu,"
         "\"cpuSeconds\":%f,\"p50Ms\":%f,\"p99Ms\":%f}\n",
         answers, answer_bytes, seconds, failures, cpu_seconds() - cpu, quantile_ms(latencies, latency_count, 0.5),
         quantile_ms(latencies, latency_count, 0.99));
}

static void herd(int64_t spread_ns, int64_t deadline_ns) {
  struct epoll_event events[256];
  uint32_t *first = calloc(viewer_count, sizeof *first), *done = calloc(viewer_count, sizeof *done);
  int64_t start = now_ns();
  int asked = 0;
  uint64_t ended = 0;
  while (ended < (uint64_t)viewer_count && now_ns() - start < deadline_ns) {
    while (asked < viewer_count && now_ns() - start >= spread_ns * asked / viewer_count) ask(&viewers[asked++]);
    int count = epoll_wait(poll_fd, events, 256, asked < viewer_count ? 0 : 20);
    for (int i = 0; i < count; i++) {
      struct viewer *v = events[i].data.ptr;
      if (v->state != ENDED) take(v, DROP_BYTES);
    }
    ended = answers + failures;
  }
  size_t whole = 0;
  for (int i = 0; i < viewer_count; i++) {
    if (viewers[i].state != IDLE || !viewers[i].done_ns) continue;
    first[whole] = (viewers[i].first_ns - viewers[i].asked_ns) / 1000;
    done[whole++] = (viewers[i].done_ns - viewers[i].asked_ns) / 1000;
  }
  qsort(first, whole, sizeof *first, compare);
  qsort(done, whole, sizeof *done, compare);
  printf("{\"whole\":%zu,\"firstP50Ms\":%f,\"firstP99Ms\":%f,\"doneP50Ms\":%f,\"doneP99Ms\":%f,\"bytes\":%lu}\n", whole,
         quantile_ms(first, whole, 0.5), quantile_ms(first, whole, 0.99), quantile_ms(done, whole, 0.5),
         quantile_ms(done, whole, 0.99), answer_bytes);
}

static void slow(int64_t bytes_per_second, int64_t for_ns) {
  int64_t start = now_ns(), step = start;
  for (int i = 0; i < viewer_count; i++) ask(&viewers[i]);
  puts("start");
  fflush(stdout);
  size_t each = bytes_per_second * SLOW_STEP_NS / 1000000000LL;
  while (now_ns() - start < for_ns) {
    for (int i = 0; i < viewer_count; i++) {
      if (viewers[i].state != ENDED && take(&viewers[i], each)) ask(&viewers[i]);
    }
    step += SLOW_STEP_NS;
    int64_t wait = step - now_ns();
    if (wait > 0) usleep(wait / 1000);
  }
  printf("{\"answers\":%lu,\"bytes\":%lu,\"failures\":%lu}\n", answers, answer_bytes, failures);
}

int main(int count, char **words) {
  if (count != 7) return 64;
  int is_slow = strcmp(words[1], "slow") == 0;
  int64_t a = atoll(words[4]), b = atoll(words[5]);
  viewer_count = atoi(words[3]);
  drop = malloc(DROP_BYTES);
  viewers = calloc(viewer_count, sizeof *viewers);
  poll_fd = epoll_create1(0);
  if (!viewers || !drop || poll_fd < 0) die("start");
  read_paths(words[6]);
  for (int i = 0; i < viewer_count; i++) {
    open_viewer(&viewers[i], i, atoi(words[2]), is_slow ? SLOW_RECEIVE_BYTES : 0);
  }
  if (is_slow) slow(a, b * 1000000);
  else if (strcmp(words[1], "herd") == 0) herd(a * 1000000, b * 1000000);
  else load(a * 1000000, b * 1000000);
  return 0;
}
