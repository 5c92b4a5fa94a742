// SPDX-License-Identifier: Apache-2.0
// For the benchmark of set-ups only: lets a daemon that hands its SAs to the kernel's ESP run where the kernel has none. Loaded
// before it (LD_PRELOAD). What would add, change or delete an SA or policy is handed to the kernel as an empty request instead, which it
// acknowledges, so that the daemon pays for each system call and answer, but not for the kernel's work behind it. Nothing is protected.
#include <dlfcn.h>
#include <errno.h>
#include <linux/in.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

// Options of sockets that such a kernel refuses; there are no common headers with their names.
enum { UDP_LEVEL = 17, UDP_ENCAP_OPTION = 100, IPV6_LEVEL = 41, IPV6_XFRM_OPTION = 35 };

static bool is_change(unsigned type)
{
    switch (type) {
    case XFRM_MSG_NEWSA:
    case XFRM_MSG_UPDSA:
    case XFRM_MSG_DELSA:
    case XFRM_MSG_NEWPOLICY:
    case XFRM_MSG_UPDPOLICY:
    case XFRM_MSG_DELPOLICY: return true;
    default: return false;
    }
}

static bool is_xfrm(int fd)
{
    int protocol = 0;
    socklen_t size = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == NETLINK_XFRM;
}

ssize_t sendto(int fd, const void *message, size_t size, int flags, __CONST_SOCKADDR_ARG address, socklen_t to_size)
{
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "sendto");
    const struct sockaddr *to = address.__sockaddr__;
    struct nlmsghdr head;
    if (!to || to->sa_family != AF_NETLINK || size < sizeof head || !is_xfrm(fd))
        return real(fd, message, size, flags, to, to_size);
    memcpy(&head, message, sizeof head);
    if (!is_change(head.nlmsg_type)) return real(fd, message, size, flags, to, to_size);
    head.nlmsg_type = NLMSG_NOOP;
    head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    head.nlmsg_len = sizeof head;
    return real(fd, &head, sizeof head, flags, to, to_size) == (ssize_t)sizeof head ? (ssize_t)size : -1;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    static int (*real)(int, int, int, const void *, socklen_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "setsockopt");
    int result = real(fd, level, option, value, size);
    bool about_esp = (level == IPPROTO_IP && option == IP_XFRM_POLICY) || (level == IPV6_LEVEL && option == IPV6_XFRM_OPTION) ||
                     (level == UDP_LEVEL && option == UDP_ENCAP_OPTION);
    return result < 0 && about_esp ? 0 : result;
}
