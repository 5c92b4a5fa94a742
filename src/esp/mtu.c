// SPDX-License-Identifier: Apache-2.0
// The arithmetic of an SA: what its headers and its cipher add to a packet, and what of a path's MTU is left for one.
#include "esp/internal.h"
#include "model/proposal.h"

enum { TCP_HEADER = 20, MTU_FLOOR = 68 };

static bool is_transport(const struct sa_spec *spec)
{
    return spec->mode == MODE_TRANSPORT || spec->mode == MODE_GATEWAY_TRANSPORT;
}

static uint8_t inner_family(const struct sa_spec *spec)
{
    return spec->remote.at[0].range.low.family;
}

// RFC 4543 4: the field of AES-GMAC has its IV in it.
static struct mtu_parts ah_parts(const struct sa_spec *spec)
{
    struct integ_info integ = {0};
    bool gmac = spec->integ >= INTEG_AES_128_GMAC && spec->integ <= INTEG_AES_256_GMAC;
    bool tunnel = spec->mode == MODE_TUNNEL;
    (void)integ_info(spec->integ, &integ);
    uint8_t family = tunnel ? spec->path.remote.addr.family : inner_family(spec);
    uint8_t header = (uint8_t)ah_size(integ.icv + (gmac ? 8u : 0), family);
    uint8_t ip = (uint8_t)ip_header_size(family);
    return (struct mtu_parts){.ip = ip,
                              .header = header,
                              .align = 1,
                              .kept = tunnel ? 0 : ip,
                              .family_kept = tunnel ? 0 : family};
}

struct mtu_parts mtu_parts(const struct sa_spec *spec)
{
    struct encr_info encr = {0};
    struct integ_info integ = {0};
    if (spec->protocol == PROTOCOL_AH) return ah_parts(spec);
    bool known = encr_info(spec->encr, spec->key_bits, &encr);
    if (!known || !encr.icv) (void)integ_info(spec->integ, &integ);
    struct mtu_parts parts = {
        .header = ESP_HEADER,
        .iv = (uint8_t)encr.iv,
        .trailer = ESP_TRAILER,
        .icv = (uint8_t)(encr.icv ? encr.icv : integ.icv),
        .align = (uint8_t)(encr.block > 4 && !encr.stream && !encr.aead ? encr.block : 4),
        .family_kept = is_transport(spec) ? inner_family(spec) : 0,
    };
    if (spec->mode == MODE_IPTFS) parts.trailer += spec->iptfs.reports ? IPTFS_HEADER_CC : IPTFS_HEADER;
    if (is_transport(spec) || spec->mode == MODE_BEET)
        parts.kept = (uint8_t)ip_header_size(inner_family(spec));
    mtu_parts_path(&parts, &spec->path);
    return parts;
}

void mtu_parts_path(struct mtu_parts *parts, const struct path *path)
{
    uint8_t family = parts->family_kept ? parts->family_kept : path->remote.addr.family;
    parts->ip = (uint8_t)ip_header_size(family);
    parts->udp = path->encap && parts->trailer ? UDP_HEADER : 0;
}

size_t plane_overhead(const struct sa_spec *spec, size_t inner_size)
{
    struct mtu_parts parts = mtu_parts(spec);
    size_t carried = inner_size > parts.kept ? inner_size - parts.kept : 0;
    if (carried < spec->tfc_padding) carried = spec->tfc_padding;
    size_t payload = (carried + parts.trailer + parts.align - 1) / parts.align * parts.align;
    return (size_t)parts.ip + parts.udp + parts.header + parts.iv + payload + parts.icv -
           inner_size;
}

uint32_t mtu_inner(const struct mtu_parts *parts, uint32_t path_mtu)
{
    uint32_t fixed = (uint32_t)parts->ip + parts->udp + parts->header + parts->iv + parts->icv;
    uint32_t room = path_mtu > fixed ? path_mtu - fixed : 0;
    room = room / parts->align * parts->align;
    uint32_t inner = (room > parts->trailer ? room - parts->trailer : 0) + parts->kept;
    return inner > MTU_FLOOR ? inner : MTU_FLOOR;
}

uint32_t mtu_mss(uint32_t inner, uint8_t family)
{
    uint32_t headers = ip_header_size(family) + TCP_HEADER;
    return inner > headers ? inner - headers : 0;
}

// --- what an SA of the plane knows

// RFC 9347 2.2.7: what does not fit one packet goes on in the next, so there is no limit; unless
// nothing may be cut. Where all packets are of one size, that is the limit then.
static void iptfs_set_mtu(struct iptfs *iptfs, struct sa_run *run, uint16_t path_mtu)
{
    bool less = path_mtu && path_mtu < iptfs->wanted_size;
    iptfs->packet_size = less ? path_mtu : iptfs->wanted_size;
    if (!iptfs->whole)
        run->out.mtu = UINT16_MAX;
    else if (iptfs->rate && run->out.mtu > iptfs_room(run))
        run->out.mtu = (uint16_t)iptfs_room(run);
}

// A padding that hides sizes must not make a packet larger than the path takes.
void run_set_mtu(struct sa_run *run, uint16_t path_mtu)
{
    struct sa *sa = run->sa;
    uint32_t inner = path_mtu ? mtu_inner(&sa->parts, path_mtu) : UINT16_MAX;
    sa->path_mtu = path_mtu;
    sa->mtu = (uint16_t)(inner < UINT16_MAX ? inner : UINT16_MAX);
    run->tfc = sa->tfc < sa->mtu ? sa->tfc : sa->mtu;
    if (sa->direction == SA_OUT) run->out.mtu = sa->mtu;
    if (sa->direction == SA_OUT && sa->iptfs) iptfs_set_mtu(sa->iptfs, run, path_mtu);
}

void run_clamp_mss(const struct sa_run *run, struct packet *packet)
{
    const struct sa *sa = run->sa;
    uint8_t family = packet->at[0] >> 4 == 4 ? ADDR_V4 : ADDR_V6;
    uint32_t mss = sa->tcp_mss;
    if (mss == MSS_AUTO) mss = sa->path_mtu ? mtu_mss(sa->mtu, family) : 0;
    if (mss) tcp_clamp(packet->at, packet->size, (uint16_t)mss);
}

struct plane_room plane_room_of(struct plane *plane, nsec now, uint16_t device, const uint8_t *ip,
                                uint32_t size)
{
    struct plane_room room = {.mtu = UINT32_MAX};
    struct flow_key key;
    uint32_t total;
    if (flow_key_read(ip, size, &key, &total) != OK) return room;
    flow_key_set_device(&key, device);
    const struct flow_slot *slot = spd_find(plane, now, &key, flow_hash(&plane->spd, &key));
    const struct sa_run *run = slot->run;
    if (!run) return room;
    if (run->sa->path_mtu) room.mtu = run->out.mtu;
    if (!run_shares(run) || run->worker != plane->worker) return room;
    room.head = (uint8_t)(ESP_HEADER + run->iv_size);
    room.trailer = ESP_TRAILER;
    room.align = run->align;
    room.icv = run->icv_size;
    return room;
}
