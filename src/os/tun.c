// SPDX-License-Identifier: Apache-2.0
// The TUN device.
#include "os/tun.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static enum fault queue_open(const char *name, int *out)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno == EACCES || errno == EPERM ? FAULT_TUN_REFUSED : FAULT_TUN_MISSING;
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR};
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, &request) == 0) {
        *out = fd;
        return OK;
    }
    int error = errno;
    close(fd);
    errno = error;
    return error == EBUSY || error == EINVAL ? FAULT_TUN_IN_USE : FAULT_TUN_REFUSED;
}

// Headers of older kernels do not have these.
enum { OFFLOAD_UDP4 = 0x20, OFFLOAD_UDP6 = 0x40 };

enum tun_offload tun_offload(int fd, enum tun_offload most)
{
    const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    const unsigned wanted[] = {
        [TUN_NO_OFFLOAD] = 0,
        [TUN_OFFLOAD_TCP] = tcp,
        [TUN_OFFLOAD_UDP] = tcp | OFFLOAD_UDP4 | OFFLOAD_UDP6,
    };
    unsigned level = most;
    while (level > TUN_NO_OFFLOAD && ioctl(fd, TUNSETOFFLOAD, (unsigned long)wanted[level]) < 0)
        level--;
    return (enum tun_offload)level;
}

enum fault tun_open(const char *name, unsigned queues, int *fds, const char **text)
{
    *text = NULL;
    if (strlen(name) == 0 || strlen(name) > TUN_NAME_MAX) {
        *text = "the name must have 1 to 15 characters";
        return FAULT_TUN_REFUSED;
    }
    // A device with several queues would let us in as one more reader: it must not be there yet.
    if (if_nametoindex(name)) {
        *text = "a device of that name exists";
        return FAULT_TUN_IN_USE;
    }
    for (unsigned i = 0; i < queues; i++) {
        enum fault fault = queue_open(name, &fds[i]);
        if (!fault) continue;
        *text = strerror(errno);
        while (i > 0) {
            close(fds[--i]);
            fds[i] = -1;
        }
        return fault;
    }
    return OK;
}

// A device nobody has a queue of has no carrier. Its flags say so only after a while.
static bool is_running(const char *name)
{
    struct ethtool_value value = {.cmd = ETHTOOL_GLINK};
    struct ifreq request = {.ifr_data = (void *)&value};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(request.ifr_name, name, strlen(name));
    bool running = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && value.data;
    if (fd >= 0) close(fd);
    return running;
}

enum fault tun_keep(const char *name, int *fd, const char **text)
{
    *text = NULL;
    if (strlen(name) == 0 || strlen(name) > TUN_NAME_MAX) {
        *text = "the name must have 1 to 15 characters";
        return FAULT_TUN_REFUSED;
    }
    if (is_running(name)) {
        *text = "a device of that name is in use";
        return FAULT_TUN_IN_USE;
    }
    enum fault fault = queue_open(name, fd);
    if (!fault && ioctl(*fd, TUNSETPERSIST, 1UL) < 0) {
        int error = errno;
        close(*fd);
        errno = error;
        fault = FAULT_TUN_REFUSED;
    }
    if (fault) *text = strerror(errno);
    return fault;
}

void tun_let_go(int fd)
{
    ioctl(fd, TUNSETPERSIST, 0UL);
}

size_t tun_drain(const int *fds, unsigned queues)
{
    enum { PACKETS_MAX = 100000 }; // a sender that never pauses must not hold us here
    static uint8_t space[65536];
    size_t count = 0;
    for (unsigned i = 0; i < queues; i++)
        while (count < PACKETS_MAX && read(fds[i], space, sizeof space) > 0) count++;
    return count;
}
