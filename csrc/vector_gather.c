/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors src/vmmkit/insn/_vector_gather.py. */

static uint64_t gather_offset(const context *c, uint64_t index)
{
    uint64_t offset = (uint64_t)c->insn->displacement + index * c->insn->scale;
    if (c->insn->base >= 0)
        offset += c->cpu->gpr[c->insn->base];
    return offset & mask_of(c->insn->address_size);
}

static uint64_t gather_mask(const context *c, unsigned lane, unsigned width)
{
    vector signs;
    if (c->insn->prefixes & VMMKIT_PREFIX_EVEX)
        return c->cpu->opmask[c->insn->mask & 7] & bytes_up_to(width / lane);
    read_register_operand(c, 2, width, &signs);
    return signs_of(&signs, lane, width);
}

static void commit_gather(context *c, const vector *lanes, unsigned lane, unsigned width,
                          unsigned done)
{
    int complete = done == width / lane;
    vector whole = {.q = {0}}, mask = {.q = {0}};
    if (!complete)
        read_register_operand(c, 0, sizeof whole, &whole);
    memcpy(&whole, lanes, width);
    write_register_operand(c, 0, sizeof whole, &whole);
    if (c->insn->prefixes & VMMKIT_PREFIX_EVEX) {
        uint64_t *word = &c->cpu->opmask[c->insn->mask & 7];
        *word = complete ? 0 : *word & ~bytes_up_to(done);
        return;
    }
    if (!complete)
        read_register_operand(c, 2, sizeof mask, &mask);
    memset(&mask, 0, (size_t)done * lane);
    write_register_operand(c, 2, sizeof mask, &mask);
}

static int gather_lane(context *c, const vector *indices, unsigned lane, unsigned place,
                       vector *lanes)
{
    unsigned size = c->row->index_size;
    uint64_t index = extended(lane_at(indices, size, place), 8 * size), value;
    span where;
    TRY(locate(c, c->insn->segment, gather_offset(c, index), lane, 0, &where));
    TRY(load(c, &where, &value));
    set_lane(lanes, lane, place, value);
    return 0;
}

static int gather(context *c, const vector_operation *operation)
{
    unsigned lane = operation->lane, width = operand_size(c, 0);
    uint64_t wanted = gather_mask(c, lane, width);
    uint64_t due = 0; /* debug traps, of lanes that have been loaded */
    slot_hit found = {0};
    vector indices, lanes;
    memcpy(&indices, &c->cpu->vector[8 * c->insn->index], sizeof indices);
    read_register_operand(c, 0, width, &lanes);
    for (unsigned place = 0; place < width / lane; place++) {
        int stop = wanted >> place & 1 ? gather_lane(c, &indices, lane, place, &lanes) : 0;
        if (stop == VMMKIT_EXIT_FAULT) {
            commit_gather(c, &lanes, lane, width, place);
            c->debug = due;
            c->hit = found;
            return due || found.slot ? BATCH_USED : stop;
        }
        TRY(stop);
        if (wanted >> place & 1) {
            due = c->debug;
            found = c->hit;
        }
    }
    commit_gather(c, &lanes, lane, width, width / lane);
    return 0;
}
