/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text form of an input, one thing a line, numbers in hexadecimal:
 *
 *   word FIELD INDEX VALUE        a word of the vCPU record that is not 0
 *   piece GPA PAGES WRITABLE SKEW guest RAM, filled with zeros
 *   blocks 1                      the owner takes blocks
 *   deliver 1                     events go to the guest
 *   wide 1                        devices take vectors at once
 *   bytes GPA HEX                 what it holds; the first such line is the code
 *   step ANSWER | run ANSWER BUDGET | resume ANSWER
 *   poke VALUE GPA                another processor writes 8 bytes
 *   set VALUE FIELD INDEX         the owner writes a word of the record
 *   end
 *
 * Fields are named, so that an input outlives the layout of the record.
 */
#include "fuzz.h"

#include <inttypes.h>

typedef struct {
    const char *name;
    size_t word;
    size_t count;
} field;

#define FIELD(name, count) {#name, WORD(name), count},
static const field fields[] = {RECORD_FIELDS(FIELD)};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

static const field *field_of(size_t word)
{
    size_t number = 0;
    while (word >= fields[number].word + fields[number].count)
        number++;
    return &fields[number];
}

/* Words of no field, of an older layout, are left out. */
static int find_word(const char *name, uint64_t index, size_t *word)
{
    for (size_t number = 0; number < FIELD_COUNT; number++)
        if (!strcmp(fields[number].name, name) && index < fields[number].count) {
            *word = fields[number].word + index;
            return 1;
        }
    return 0;
}

static int read_word(input *in, const char *line)
{
    char name[32];
    uint64_t index, value;
    size_t word;
    if (sscanf(line, "%31s %" SCNx64 " %" SCNx64, name, &index, &value) != 3)
        return 0;
    if (find_word(name, index, &word))
        ((uint64_t *)&in->cpu)[word] = value;
    return 1;
}

static int read_piece(input *in, const char *line)
{
    piece_spec *piece = &in->pieces[in->piece_count];
    if (in->piece_count == MAX_PIECES)
        return 0;
    in->piece_count++;
    return sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &piece->gpa, &piece->pages,
                  &piece->writable, &piece->skew) == 4;
}

static int read_patch(input *in, const char *line)
{
    patch *found = &in->patches[in->patch_count];
    int position = 0;
    unsigned byte;
    if (in->patch_count == MAX_PATCHES || sscanf(line, "%" SCNx64 " %n", &found->gpa, &position) != 1)
        return 0;
    in->patch_count++;
    for (line += position; sscanf(line, "%2x", &byte) == 1; line += 2) {
        if (found->size == PATCH_BYTES)
            return 0;
        found->bytes[found->size++] = (uint8_t)byte;
    }
    return 1;
}

static int read_set(event *found, const char *line)
{
    char name[32];
    uint64_t index;
    size_t word = WORD(exit_value); /* one that nothing depends on */
    if (sscanf(line, "%" SCNx64 " %31s %" SCNx64, &found->value, name, &index) != 3)
        return 0;
    find_word(name, index, &word);
    found->place = word;
    return 1;
}

static const char *const event_names[EVENT_KINDS] = {"step", "run", "resume", "poke", "set"};

static int read_event(input *in, const char *keyword, const char *line)
{
    event *found = &in->events[in->event_count];
    if (in->event_count == MAX_EVENTS)
        return 0;
    for (unsigned kind = 0; kind < EVENT_KINDS; kind++) {
        if (strcmp(keyword, event_names[kind]))
            continue;
        in->event_count++;
        found->kind = kind;
        if (kind == SET)
            return read_set(found, line);
        return sscanf(line, "%" SCNx64 " %" SCNx64, &found->value, &found->place) >= 1;
    }
    return 0;
}

static int read_switch(input *in, const char *keyword, const char *line)
{
    uint64_t *found = !strcmp(keyword, "blocks")    ? &in->blocks
                      : !strcmp(keyword, "deliver") ? &in->deliver
                      : !strcmp(keyword, "wide")    ? &in->wide
                                                    : NULL;
    return found && sscanf(line, "%" SCNx64, found) == 1;
}

static int read_line(input *in, const char *line)
{
    char keyword[32];
    int position = 0;
    if (sscanf(line, "%31s %n", keyword, &position) != 1 || *keyword == '#')
        return 1;
    line += position;
    if (!strcmp(keyword, "word"))
        return read_word(in, line);
    if (!strcmp(keyword, "piece"))
        return read_piece(in, line);
    if (!strcmp(keyword, "bytes"))
        return read_patch(in, line);
    return read_switch(in, keyword, line) || read_event(in, keyword, line);
}

/* Returns whether there was another input; a file that is none is the end of everything. */
int read_input(FILE *file, input *in)
{
    char line[512];
    memset(in, 0, sizeof *in);
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, "end", 3)) {
            normalize_input(in);
            return 1;
        }
        if (!read_line(in, line)) {
            fprintf(stderr, "not a line of an input: %s", line);
            exit(2);
        }
    }
    return 0;
}

static void write_event(FILE *file, const event *made)
{
    fprintf(file, "%s %" PRIx64, event_names[made->kind], made->value);
    if (made->kind == SET) {
        const field *found = field_of(made->place);
        fprintf(file, " %s %zx", found->name, (size_t)made->place - found->word);
    } else if (made->kind == RUN || made->kind == POKE) {
        fprintf(file, " %" PRIx64, made->place);
    }
    fputc('\n', file);
}

void write_input(FILE *file, const input *in)
{
    const uint64_t *words = (const uint64_t *)&in->cpu;
    for (size_t word = 0; word < CPU_WORDS; word++) {
        const field *found = field_of(word);
        if (words[word])
            fprintf(file, "word %s %zx %" PRIx64 "\n", found->name, word - found->word, words[word]);
    }
    for (size_t i = 0; i < in->piece_count; i++) {
        const piece_spec *piece = &in->pieces[i];
        fprintf(file, "piece %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", piece->gpa,
                piece->pages, piece->writable, piece->skew);
    }
    if (in->blocks)
        fputs("blocks 1\n", file);
    if (in->deliver)
        fputs("deliver 1\n", file);
    if (in->wide)
        fputs("wide 1\n", file);
    for (size_t i = 0; i < in->patch_count; i++) {
        fprintf(file, "bytes %" PRIx64 " ", in->patches[i].gpa);
        for (size_t byte = 0; byte < in->patches[i].size; byte++)
            fprintf(file, "%02x", in->patches[i].bytes[byte]);
        fputc('\n', file);
    }
    for (size_t i = 0; i < in->event_count; i++)
        write_event(file, &in->events[i]);
    fputs("end\n", file);
}

static int overlaps(const input *in, size_t number)
{
    const piece_spec *piece = &in->pieces[number];
    for (size_t i = 0; i < number; i++) {
        const piece_spec *other = &in->pieces[i];
        if (piece->gpa < other->gpa + other->pages * PAGE &&
            other->gpa < piece->gpa + piece->pages * PAGE)
            return 1;
    }
    return 0;
}

/* What the owner of RAM promises: whole pages within 52 bits, none of them twice. */
static void normalize_piece(piece_spec *piece)
{
    piece->pages = piece->pages ? (piece->pages - 1) % MAX_PAGES + 1 : 1;
    piece->writable = piece->writable != 0;
    piece->skew %= MAX_SKEW;
    piece->gpa &= (ADDRESS_SPACE - 1) & ~(uint64_t)(PAGE - 1);
    if (piece->gpa + piece->pages * PAGE > ADDRESS_SPACE)
        piece->gpa = ADDRESS_SPACE - piece->pages * PAGE;
}

/* What a run may do stands in these; only `step` and `run` write them once it has begun. */
static int is_budget(size_t word)
{
    return word == WORD(limit) || word == WORD(batch) || word == WORD(retired);
}

void normalize_input(input *in)
{
    size_t kept = 0;
    for (size_t i = 0; i < in->piece_count; i++) {
        normalize_piece(&in->pieces[i]);
        in->pieces[kept] = in->pieces[i];
        kept += !overlaps(in, kept);
    }
    in->piece_count = kept;
    for (size_t i = 0; i < in->event_count; i++) {
        event *made = &in->events[i];
        made->kind %= EVENT_KINDS;
        if (made->kind == RUN)
            made->place = made->place % MAX_BUDGET + !(made->place % MAX_BUDGET);
        else if (made->kind == SET)
            made->place %= CPU_WORDS;
        if (made->kind == SET && is_budget(made->place))
            made->place = WORD(exit_value);
    }
}
