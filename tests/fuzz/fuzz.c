/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The search. A child process runs inputs, keeps those that reach code in a way none did before,
 * and makes new ones from them; the engine was compiled to call __sanitizer_cov_trace_pc at every
 * basic block. The input under way lies in memory shared with the parent, which writes it down when
 * the child dies of it (a sanitizer, a broken promise, a signal) or gets no further (a hang).
 */
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EDGES = 1 << 18, MAX_KEPT = 20000, HANG_SECONDS = 20, TICKS = 20 };

typedef struct {
    input under_way;
    volatile uint64_t cases;
    volatile uint64_t kept;
    volatile uint64_t edges;
    volatile uint64_t most_work;
} shared;

typedef struct {
    uint64_t seconds;
    uint64_t cases; /* 0: only the time counts */
    uint64_t seed;
    const char *seeds; /* file of inputs to start from */
    const char *kept; /* file that gets every input kept */
    const char *failure; /* file that gets an input that fails */
    const char *replay;
} options;

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
void __sanitizer_cov_trace_pc(void);

const char *__asan_default_options(void)
{
    return "detect_leaks=0:allocator_may_return_null=0";
}

const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}

/* --- coverage ---------------------------------------------------------------------------------- */

static uint8_t counts[EDGES];
static uint8_t reached[EDGES]; /* the counts seen so far, as powers of two */
static uint32_t touched[EDGES];
static size_t touched_count;
static uintptr_t last_block;
static uint64_t work, work_allowed = UINT64_MAX, most_work;

void allow_work(uint64_t blocks)
{
    work = 0;
    work_allowed = blocks;
}

void end_work(uint64_t units)
{
    work_allowed = UINT64_MAX;
    if (work / (units + 1) > most_work)
        most_work = work / (units + 1);
}

static void stop_endless_work(void)
{
    work_allowed = UINT64_MAX;
    fprintf(stderr, "%llu basic blocks, and the call has not returned\n",
            (unsigned long long)work);
    abort();
}

/* An edge is the pair of blocks; addresses are relative, so that runs are alike. */
void __sanitizer_cov_trace_pc(void)
{
    uintptr_t block = (uintptr_t)__builtin_return_address(0) - (uintptr_t)vmmkit_decode;
    uint64_t mixed = ((uint64_t)block * 0x9E3779B97F4A7C15) ^ (last_block * 0xC2B2AE3D27D4EB4F);
    size_t edge = (size_t)(mixed >> 46);
    last_block = block;
    if (!counts[edge])
        touched[touched_count++] = (uint32_t)edge;
    counts[edge] += counts[edge] < UINT8_MAX;
    if (++work > work_allowed)
        stop_endless_work();
}

static uint8_t bucket(uint8_t count)
{
    static const uint8_t starts[] = {1, 2, 3, 4, 8, 16, 32, 128};
    unsigned number = 0;
    while (number < 7 && count >= starts[number + 1])
        number++;
    return (uint8_t)(1u << number);
}

/* Whether the input just run has reached anything new; forgets its counts. */
static int take_coverage(volatile uint64_t *edges)
{
    int new = 0;
    for (size_t i = 0; i < touched_count; i++) {
        uint32_t edge = touched[i];
        uint8_t seen = bucket(counts[edge]);
        if (!(reached[edge] & seen)) {
            *edges += !reached[edge];
            reached[edge] |= seen;
            new = 1;
        }
        counts[edge] = 0;
    }
    touched_count = 0;
    last_block = 0;
    return new;
}

/* --- the child --------------------------------------------------------------------------------- */

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec;
}

static void try_input(shared *common, input *kept)
{
    common->cases++;
    run_input(&common->under_way);
    common->most_work = most_work;
    if (take_coverage(&common->edges) && common->kept < MAX_KEPT)
        kept[common->kept++] = common->under_way;
}

static FILE *open_or_exit(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    return file;
}

static void try_seeds(shared *common, input *kept, const char *path)
{
    FILE *file = open_or_exit(path, "r");
    while (read_input(file, &common->under_way))
        try_input(common, kept);
    fclose(file);
}

static void save_kept(const options *chosen, const shared *common, const input *kept)
{
    FILE *file;
    if (!chosen->kept)
        return;
    file = open_or_exit(chosen->kept, "w");
    for (uint64_t i = 0; i < common->kept; i++)
        write_input(file, &kept[i]);
    fclose(file);
}

static void search(const options *chosen, shared *common)
{
    input *kept = malloc(MAX_KEPT * sizeof *kept);
    uint64_t state = chosen->seed, end = now() + chosen->seconds;
    if (chosen->seeds)
        try_seeds(common, kept, chosen->seeds);
    if (!common->kept)
        try_input(common, kept); /* no RAM, no code */
    while (chosen->cases ? common->cases < chosen->cases : now() < end) {
        corpus from = {kept, common->kept};
        uint64_t newest = common->kept < 64 ? common->kept : 64;
        uint64_t drawn = random_word(&state);
        /* One in four is among the newest: what they reach has been looked at least. */
        common->under_way = kept[drawn & 3 ? (drawn >> 2) % common->kept
                                           : common->kept - 1 - (drawn >> 2) % newest];
        mutate_input(&common->under_way, &from, &state);
        try_input(common, kept);
    }
    save_kept(chosen, common, kept);
    free(kept);
}

/* --- the parent -------------------------------------------------------------------------------- */

/* Waits for the child; returns what it died of, or NULL. */
static const char *watch(pid_t child, const shared *common)
{
    const struct timespec tick = {0, 1000000000 / TICKS};
    uint64_t cases = UINT64_MAX;
    int status, idle = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        idle = common->cases == cases ? idle + 1 : 0;
        cases = common->cases;
        if (idle > HANG_SECONDS * TICKS) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return "it does not end";
        }
        nanosleep(&tick, NULL);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return NULL;
    return WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "a sanitizer stopped it";
}

static int report_failure(const options *chosen, const char *program, const shared *common,
                          const char *reason)
{
    FILE *file = open_or_exit(chosen->failure, "w");
    write_input(file, &common->under_way);
    fclose(file);
    write_input(stderr, &common->under_way);
    fprintf(stderr, "case %llu: %s\n%s --replay %s\n", (unsigned long long)common->cases, reason,
            program, chosen->failure);
    return 1;
}

static int fuzz(const options *chosen, const char *program)
{
    shared *common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);
    uint64_t start = now(), taken;
    const char *reason;
    pid_t child = common == MAP_FAILED ? -1 : fork();
    if (child < 0) {
        perror(program);
        return 2;
    }
    if (!child) {
        search(chosen, common);
        exit(0);
    }
    reason = watch(child, common);
    if (reason)
        return report_failure(chosen, program, common, reason);
    taken = now() - start + (now() == start);
    printf("%llu cases in %llu s (%llu/s), %llu edges, %llu inputs kept, seed %llu; "
           "at most %llu basic blocks an instruction\n",
           (unsigned long long)common->cases, (unsigned long long)taken,
           (unsigned long long)(common->cases / taken), (unsigned long long)common->edges,
           (unsigned long long)common->kept, (unsigned long long)chosen->seed,
           (unsigned long long)common->most_work);
    return 0;
}

static int replay(const char *path)
{
    FILE *file = open_or_exit(path, "r");
    unsigned count = 0;
    input in;
    while (read_input(file, &in)) {
        run_input(&in);
        take_coverage(&(uint64_t){0});
        count++;
    }
    fclose(file);
    printf("%u inputs, nothing broken\n", count);
    return count ? 0 : 2;
}

static int take_option(options *chosen, const char *name, const char *value)
{
    const struct {
        const char *name;
        uint64_t *number;
        const char **text;
    } known[] = {
        {"--seconds", &chosen->seconds, NULL}, {"--cases", &chosen->cases, NULL},
        {"--seed", &chosen->seed, NULL},       {"--seeds", NULL, &chosen->seeds},
        {"--kept", NULL, &chosen->kept},       {"--failure", NULL, &chosen->failure},
        {"--replay", NULL, &chosen->replay},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name))
            continue;
        if (known[i].text)
            *known[i].text = value;
        else
            *known[i].number = strtoull(value, NULL, 0);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    options chosen = {60, 0, 1, NULL, NULL, "failure.txt", NULL};
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !take_option(&chosen, argv[i], argv[i + 1])) {
            fprintf(stderr, "%s [--seconds N | --cases N] [--seed N] [--seeds FILE] [--kept FILE] "
                            "[--failure FILE] | --replay FILE\n", argv[0]);
            return 2;
        }
    return chosen.replay ? replay(chosen.replay) : fuzz(&chosen, argv[0]);
}
