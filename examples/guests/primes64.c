/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 64-bit mode guest in C: a sieve, and its result printed through the UART at port 3F8h. The code
 * is written so that gcc needs no multiplication, division or shift for it; the Makefile's flags
 * keep it from SSE and from setcc and cmov, which this slice of the engine does not have yet.
 */
#define LIMIT 400
#define UART 0x3f8
#define LINE_CONTROL 0x3fb /* 3: eight data bits */
#define LINE_STATUS 0x3fd
#define TRANSMITTER_EMPTY 0x20

static unsigned char composite[LIMIT];
static const unsigned powers[] = {100, 10, 1};

static void put(char character)
{
    unsigned char status;
    do {
        __asm__ volatile("inb %1, %0" : "=a"(status) : "d"((unsigned short)LINE_STATUS));
    } while (!(status & TRANSMITTER_EMPTY));
    __asm__ volatile("outb %0, %1" : : "a"(character), "d"((unsigned short)UART));
}

static void print(const char *text)
{
    while (*text)
        put(*text++);
}

static void print_decimal(unsigned value)
{
    int printed = 0; /* the values printed here are never zero */
    for (unsigned place = 0; place < 3; place++) {
        char digit = '0';
        while (value >= powers[place]) {
            value -= powers[place];
            digit++;
        }
        if (digit != '0')
            printed = 1;
        if (printed)
            put(digit);
    }
}

static void sieve(void)
{
    for (unsigned number = 2; number < LIMIT; number++) {
        if (composite[number])
            continue;
        for (unsigned multiple = number + number; multiple < LIMIT; multiple += number)
            composite[multiple] = 1;
    }
}

/* The second part: nothing but instructions. */
void guest_compute(void)
{
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned number = 0; number < LIMIT; number++)
            composite[number] = 0;
        sieve();
    }
}

void guest_main(void)
{
    unsigned count = 0, largest = 0;
    __asm__ volatile("outb %0, %1" : : "a"((char)3), "d"((unsigned short)LINE_CONTROL));
    sieve();
    for (unsigned number = 2; number < LIMIT; number++) {
        if (composite[number])
            continue;
        count++;
        largest = number;
    }
    print("hello from C: ");
    print_decimal(count);
    print(" primes below ");
    print_decimal(LIMIT);
    print(", the largest is ");
    print_decimal(largest);
    print("\n");
}
