/* lwIP as Debian ships it, as a server for the benchmarks: its raw API between the packets of a TUN device, on one thread.
 *
 * `bench` starts it with the name of a TUN device that exists and is up, and the MTU; it writes `ready` when it can be
 * talked to. Port 1000 sends for ever, 1001 reads until the end, the others send back what they get.
 *
 * The library's buffers are fixed: 65,535 bytes to receive and to send (TCP_WND and TCP_SND_BUF of its lwipopts.h). */

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

enum { SOURCE = 1000, SINK = 1001, ECHO = 1002, REQUESTS = 1003 };
/* Packets read before the timers are looked at. */
enum { PACKETS_A_TURN = 64 };

static int device;
static int mtu;
/* What the source sends. */
static char zeros[16384];

static void quit(const char *what) {
  perror(what);
  exit(1);
}

static err_t transmit(struct netif *netif, struct pbuf *packet, const ip4_addr_t *next_hop) {
  static char joined[65536];
  const void *data = packet->payload;
  (void)netif;
  (void)next_hop;
  if (packet->next != NULL) {
    pbuf_copy_partial(packet, joined, packet->tot_len, 0);
    data = joined;
  }
  /* A packet that the device refuses is lost, as on a wire. */
  return write(device, data, packet->tot_len) < 0 ? ERR_IF : ERR_OK;
}

static err_t set_up(struct netif *netif) {
  netif->name[0] = 't';
  netif->name[1] = 'n';
  netif->mtu = mtu;
  netif->output = transmit;
  return ERR_OK;
}

static err_t give_up(struct tcp_pcb *pcb) {
  tcp_recv(pcb, NULL);
  tcp_sent(pcb, NULL);
  if (tcp_close(pcb) == ERR_OK) {
    return ERR_OK;
  }
  tcp_abort(pcb);
  return ERR_ABRT;
}

/* Fills the send buffer. */
static err_t on_room(void *arg, struct tcp_pcb *pcb, u16_t acknowledged) {
  (void)arg;
  (void)acknowledged;
  while (tcp_sndbuf(pcb) > 0) {
    tcpwnd_size_t room = tcp_sndbuf(pcb);
    u16_t length = room < sizeof zeros ? room : sizeof zeros;
    if (tcp_write(pcb, zeros, length, 0) != ERR_OK) {
      break;
    }
  }
  tcp_output(pcb);
  return ERR_OK;
}

static err_t on_data(void *arg, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
  struct pbuf *part;
  (void)arg;
  (void)error;
  if (data == NULL) {
    return give_up(pcb);
  }
  tcp_recved(pcb, data->tot_len);
  if (pcb->local_port >= ECHO) {
    for (part = data; part != NULL; part = part->next) {
      if (tcp_write(pcb, part->payload, part->len, TCP_WRITE_FLAG_COPY) != ERR_OK) {
        pbuf_free(data);
        tcp_abort(pcb);
        return ERR_ABRT;
      }
    }
  }
  pbuf_free(data);
  return ERR_OK;
}

static err_t on_connection(void *arg, struct tcp_pcb *pcb, err_t error) {
  if (error != ERR_OK || pcb == NULL) {
    return ERR_VAL;
  }
  tcp_nagle_disable(pcb);
  tcp_recv(pcb, on_data);
  if (pcb->local_port == SOURCE) {
    tcp_sent(pcb, on_room);
    return on_room(arg, pcb, 0);
  }
  return ERR_OK;
}

static void serve(u16_t port) {
  struct tcp_pcb *pcb = tcp_new();
  if (pcb == NULL || tcp_bind(pcb, IP4_ADDR_ANY, port) != ERR_OK) {
    quit("tcp_bind");
  }
  pcb = tcp_listen_with_backlog(pcb, 255);
  if (pcb == NULL) {
    quit("tcp_listen");
  }
  tcp_accept(pcb, on_connection);
}

static void open_device(const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0 || ioctl(device, TUNSETIFF, &request) < 0) {
    quit("/dev/net/tun");
  }
}

/* Gives the stack what the device holds, up to a bound. */
static void receive(struct netif *netif) {
  /* Where the next packet goes. */
  static struct pbuf *room;
  int count;
  for (count = 0; count < PACKETS_A_TURN; count++) {
    ssize_t length;
    if (room == NULL) {
      room = pbuf_alloc(PBUF_RAW, mtu, PBUF_RAM);
    }
    if (room == NULL) {
      quit("pbuf_alloc");
    }
    length = read(device, room->payload, mtu);
    if (length <= 0) {
      return;
    }
    pbuf_realloc(room, length);
    if (netif->input(room, netif) != ERR_OK) {
      pbuf_free(room);
    }
    room = NULL;
  }
}

int main(int count, char **arguments) {
  struct netif netif;
  ip4_addr_t address, mask, gateway;
  if (count != 3) {
    fputs("usage: lwip DEVICE MTU\n", stderr);
    return 1;
  }
  mtu = atoi(arguments[2]);
  open_device(arguments[1]);
  lwip_init();
  IP4_ADDR(&address, 10, 9, 0, 2);
  IP4_ADDR(&mask, 255, 255, 255, 0);
  IP4_ADDR(&gateway, 10, 9, 0, 1);
  memset(&netif, 0, sizeof netif);
  if (netif_add(&netif, &address, &mask, &gateway, NULL, set_up, ip_input) == NULL) {
    quit("netif_add");
  }
  netif_set_default(&netif);
  netif_set_link_up(&netif);
  netif_set_up(&netif);
  serve(SOURCE);
  serve(SINK);
  serve(ECHO);
  serve(REQUESTS);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd readable = {device, POLLIN, 0};
    poll(&readable, 1, (int)sys_timeouts_sleeptime());
    receive(&netif);
    sys_check_timeouts();
  }
}
