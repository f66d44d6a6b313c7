/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that need no decoding; no part of what an engine shows.
 *
 * What bytes mean depends on them and the mode alone. So an entry, found by RIP, is the right one if
 * it holds the bytes that are in memory now, as many as the instruction has, and the mode; whoever
 * has stored to code, and at which address, does not matter.
 *
 * Bytes are compared 16 at a time, within one page of RAM. The last of the 16 is never part of an
 * instruction that began with the first, and the mode stands in its place.
 */

enum { CODE_WINDOW = 16, UNREPEATED = 2 };

/* The bytes of an instruction by its length, in two words, and the mode. */
#define MODE_BYTE ((uint64_t)0xFF << 56)
#define FIRST(count) (((uint64_t)1 << (8 * (count))) - 1)
static const uint64_t code_masks[CODE_WINDOW][2] = {
    {0, MODE_BYTE},
    {FIRST(1), MODE_BYTE},
    {FIRST(2), MODE_BYTE},
    {FIRST(3), MODE_BYTE},
    {FIRST(4), MODE_BYTE},
    {FIRST(5), MODE_BYTE},
    {FIRST(6), MODE_BYTE},
    {FIRST(7), MODE_BYTE},
    {UINT64_MAX, MODE_BYTE},
    {UINT64_MAX, MODE_BYTE | FIRST(1)},
    {UINT64_MAX, MODE_BYTE | FIRST(2)},
    {UINT64_MAX, MODE_BYTE | FIRST(3)},
    {UINT64_MAX, MODE_BYTE | FIRST(4)},
    {UINT64_MAX, MODE_BYTE | FIRST(5)},
    {UINT64_MAX, MODE_BYTE | FIRST(6)},
    {UINT64_MAX, UINT64_MAX},
};

/* Operations after which the next instruction begins in the same mode and with nothing due. */
static const uint8_t plain_operations[VMMKIT_LIMIT_OPERATIONS] = {
    [VMMKIT_OP_ADD] = 1, [VMMKIT_OP_OR] = 1, [VMMKIT_OP_ADC] = 1, [VMMKIT_OP_SBB] = 1,
    [VMMKIT_OP_AND] = 1, [VMMKIT_OP_SUB] = 1, [VMMKIT_OP_XOR] = 1, [VMMKIT_OP_CMP] = 1,
    [VMMKIT_OP_TEST] = 1, [VMMKIT_OP_INC] = 1, [VMMKIT_OP_DEC] = 1, [VMMKIT_OP_NEG] = 1,
    [VMMKIT_OP_NOT] = 1, [VMMKIT_OP_MOV] = 1, [VMMKIT_OP_MOVZX] = 1, [VMMKIT_OP_MOVSX] = 1,
    [VMMKIT_OP_LEA] = 1, [VMMKIT_OP_XCHG] = 1, [VMMKIT_OP_NOP] = 1, [VMMKIT_OP_PUSH] = 1,
    [VMMKIT_OP_POP] = 1, [VMMKIT_OP_JCC] = 1, [VMMKIT_OP_JMP] = 1, [VMMKIT_OP_CALL] = 1,
    [VMMKIT_OP_RET] = 1, [VMMKIT_OP_LOOP] = 1, [VMMKIT_OP_JCXZ] = 1, [VMMKIT_OP_ROL] = 1,
    [VMMKIT_OP_ROR] = 1, [VMMKIT_OP_RCL] = 1, [VMMKIT_OP_RCR] = 1, [VMMKIT_OP_SHL] = 1,
    [VMMKIT_OP_SHR] = 1, [VMMKIT_OP_SAR] = 1, [VMMKIT_OP_SHLD] = 1, [VMMKIT_OP_SHRD] = 1,
    [VMMKIT_OP_MUL] = 1, [VMMKIT_OP_IMUL] = 1, [VMMKIT_OP_MULX] = 1, [VMMKIT_OP_DIV] = 1,
    [VMMKIT_OP_IDIV] = 1, [VMMKIT_OP_CBW] = 1, [VMMKIT_OP_CWD] = 1, [VMMKIT_OP_BT] = 1,
    [VMMKIT_OP_BTS] = 1, [VMMKIT_OP_BTR] = 1, [VMMKIT_OP_BTC] = 1, [VMMKIT_OP_BSF] = 1,
    [VMMKIT_OP_BSR] = 1, [VMMKIT_OP_TZCNT] = 1, [VMMKIT_OP_LZCNT] = 1, [VMMKIT_OP_POPCNT] = 1,
    [VMMKIT_OP_ANDN] = 1, [VMMKIT_OP_RORX] = 1, [VMMKIT_OP_SARX] = 1, [VMMKIT_OP_SHLX] = 1,
    [VMMKIT_OP_SHRX] = 1, [VMMKIT_OP_BSWAP] = 1, [VMMKIT_OP_CRC32] = 1, [VMMKIT_OP_SETCC] = 1,
    [VMMKIT_OP_LEAVE] = 1, [VMMKIT_OP_CMOVCC] = 1, [VMMKIT_OP_XADD] = 1, [VMMKIT_OP_CMPXCHG] = 1,
    [VMMKIT_OP_MOVBE] = 1, [VMMKIT_OP_MOVSXD] = 1, [VMMKIT_OP_CLC] = 1, [VMMKIT_OP_STC] = 1,
    [VMMKIT_OP_CLD] = 1, [VMMKIT_OP_STD] = 1, [VMMKIT_OP_CMC] = 1, [VMMKIT_OP_CLI] = 1,
    [VMMKIT_OP_LAHF] = 1, [VMMKIT_OP_SAHF] = 1, [VMMKIT_OP_PUSHF] = 1, [VMMKIT_OP_PAUSE] = 1,
    [VMMKIT_OP_LOOPE] = 1, [VMMKIT_OP_LOOPNE] = 1, [VMMKIT_OP_ADCX] = 1, [VMMKIT_OP_ADOX] = 1,
    [VMMKIT_OP_BLSR] = 1, [VMMKIT_OP_BLSMSK] = 1, [VMMKIT_OP_BLSI] = 1, [VMMKIT_OP_BEXTR] = 1,
    [VMMKIT_OP_MOVS] = UNREPEATED, [VMMKIT_OP_STOS] = UNREPEATED, [VMMKIT_OP_LODS] = UNREPEATED,
    [VMMKIT_OP_CMPS] = UNREPEATED, [VMMKIT_OP_BZHI] = 1, [VMMKIT_OP_PDEP] = 1, [VMMKIT_OP_PEXT] = 1,
    [VMMKIT_OP_MOVNTI] = 1, [VMMKIT_OP_SCAS] = UNREPEATED,
};

/* Vector instructions may change checks_alignment, but only where it is set. */
static int is_plain(const vmmkit_insn *insn)
{
    const row *row = &rows[insn->row];
    int repeats = insn->prefixes & (VMMKIT_PREFIX_REP | VMMKIT_PREFIX_REPNE);
    if (repeats && plain_operations[row->op] == UNREPEATED)
        return 0;
    if (row->op == VMMKIT_OP_POP && row->kinds[0] == VMMKIT_KIND_F)
        return 0;
    return plain_operations[row->op] || vector_operations[row->op].family;
}

static inline decoded *code_slot(const context *c)
{
    uint64_t rip = c->cpu->rip;
    return &c->known->code[(rip ^ rip / CODE_ENTRIES) % CODE_ENTRIES];
}

/* Two words of code at least, with the mode as the last byte. */
static inline void take_window(context *c, const uint8_t *host, uint64_t *window)
{
    memcpy(window, host, CODE_WINDOW);
    window[1] = (window[1] & ~MODE_BYTE) | (uint64_t)c->mode << 56;
    memcpy(c->code, window, CODE_WINDOW);
}

static inline int holds(const decoded *entry, const uint64_t *window)
{
    const uint64_t *mask = code_masks[entry->insn.length];
    return !((entry->code[0] ^ (window[0] & mask[0])) | (entry->code[1] ^ (window[1] & mask[1])));
}

/* Keeps what c->code holds, all 15 bytes, unless it is no instruction. */
static NOINLINE int decode_into(context *c, decoded *entry, const uint64_t *window)
{
    const uint64_t *mask;
    entry->code[1] = 0; /* no mode: holds nothing */
    TRY(vmmkit_decode(c->code, VMMKIT_LIMIT_MAX_LENGTH, c->mode, &entry->insn));
    mask = code_masks[entry->insn.length];
    entry->code[0] = window[0] & mask[0];
    entry->code[1] = window[1] & mask[1];
    entry->plain = (uint8_t)is_plain(&entry->insn);
    describe_operands(entry, &rows[entry->insn.row]);
    return 0;
}

static inline void use_entry(context *c, const decoded *entry)
{
    c->found = entry;
    c->insn = &entry->insn;
}

static int decode_alone(context *c)
{
    use_entry(c, &c->own);
    TRY(vmmkit_decode(c->code, c->code_length, c->mode, &c->own.insn));
    c->own.plain = 0;
    describe_operands(&c->own, &rows[c->own.insn.row]);
    return 0;
}

/* Decodes what c->code holds. */
static int decode_here(context *c)
{
    uint64_t window[2];
    decoded *entry;
    if (!c->known || c->code_length < VMMKIT_LIMIT_MAX_LENGTH)
        return decode_alone(c);
    c->code[VMMKIT_LIMIT_MAX_LENGTH] = (uint8_t)c->mode;
    memcpy(window, c->code, CODE_WINDOW);
    entry = code_slot(c);
    if (!holds(entry, window))
        TRY(decode_into(c, entry, window));
    use_entry(c, entry);
    return 0;
}

/* Whether the next instruction was found without asking anything anew. */
static ALWAYS_INLINE int find_code(context *c)
{
    vmmkit_cpu *cpu = c->cpu;
    uint64_t offset = cpu->rip - c->code_start, window[2];
    const decoded *entry;
    if (UNLIKELY(offset >= c->code_room))
        return 0;
    entry = code_slot(c);
    take_window(c, c->code_host + offset, window);
    if (UNLIKELY(!holds(entry, window)))
        return 0;
    c->code_length = VMMKIT_LIMIT_MAX_LENGTH;
    c->pages = 0;
    use_entry(c, entry);
    if (c->paging) {
        cpu->page_gpa[0] = c->code_gpa + offset;
        cpu->page_ordinal[0] = 0;
    }
    return 1;
}

/* The page of code that the next instructions may be fetched from like this one. */
static inline void keep_code_page(context *c, uint64_t rip, uint64_t linear, uint64_t gpa,
                                  const uint8_t *host)
{
    uint64_t place = linear & (PAGE - 1), room = PAGE - CODE_WINDOW + 1, last;
    const tlb_entry *entry = NULL;
    if (c->paging)
        entry = remembered(c, linear, INTENT_FETCH);
    if (!c->tlb || c->distrusted || (c->paging && !entry))
        return;
    c->code_start = rip - place;
    last = segment_words(c, CS)[LIMIT] - c->code_start;
    if (c->mode != 64 && room > last - (VMMKIT_LIMIT_MAX_LENGTH - 2))
        room = last - (VMMKIT_LIMIT_MAX_LENGTH - 2);
    c->code_room = room;
    c->code_gpa = entry ? entry->gpa : gpa - place;
    c->code_host = entry ? entry->host : host - place;
}
