/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What a debugger shows: locals, structures, a list, recursion, loops, a device. It ends halted. */
#include "guest.h"

enum colour { RED, GREEN, BLUE };

struct point {
    int x, y;
};

struct shape {
    const char *name;
    enum colour colour;
    struct point corners[3];
};

struct node {
    int value;
    struct node *next;
};

struct shape triangle = { "triangle", GREEN, { { 0, 0 }, { 3, 0 }, { 0, 4 } } };
struct node third = { 30, 0 }, second = { 20, &third }, first = { 10, &second };
int table[8] = { 1, 2, 4, 8, 16, 32, 64, 128 };
char greeting[] = "hello from the guest";
volatile unsigned counter;
volatile unsigned short small;
volatile unsigned version;

int factorial(int n)
{
    if (n <= 1)
        return 1; /* bottom of the recursion */
    return n * factorial(n - 1);
}

int sum_list(const struct node *head)
{
    int sum = 0;
    for (const struct node *node = head; node; node = node->next)
        sum += node->value; /* in the list */
    return sum;
}

int area(const struct shape *shape)
{
    const struct point *corner = shape->corners;
    int base = corner[1].x - corner[0].x;
    int height = corner[2].y - corner[0].y;
    return base * height / 2;
}

void count(unsigned limit)
{
    for (unsigned i = 0; i < limit; i++)
        counter += i; /* in the loop */
}

int read_table(int index)
{
    int value = table[index];
    return value;
}

void use_device(void)
{
    version = *(volatile unsigned *)DEVICE;
    *(volatile unsigned *)(DEVICE + 4) = 7;
}

int guest_main(void)
{
    int total = 0;
    say("begin\n");
    total += area(&triangle);
    total += factorial(5);
    total += sum_list(&first);
    count(100);
    total += read_table(3);
    small = 0x1234;
    use_device();
    say("end\n");
    return total; /* the end */
}
