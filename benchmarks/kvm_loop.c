/* SPDX-FileCopyrightText: 2026 vmmkit contributors
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The least that a monitor can do: KVM_RUN, and complete the exit with a constant.
 *
 * kvm_loop real|long|call RAM_IMAGE START RCX: runs the guest in the image, which is loaded at 0 and never
 * ends, from address START with RCX: in real mode at CPL 0, or in long mode at CPL 3 with I/O privilege and
 * the page tables at 2000h. For each line on standard input, a number, it takes that many exits
 * and answers with the nanoseconds they took. With "call" it makes as many calls of an ioctl that
 * does nothing instead, KVM_GET_API_VERSION.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

enum { ANSWER = 0x55, ENTRIES = 256, PML4 = 0x2000 };

static int checked(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void load(int vm, const char *path)
{
    FILE *file = fopen(path, "rb");
    checked(file ? 0 : -1, path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    void *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    checked(ram == MAP_FAILED || fread(ram, 1, size, file) != size ? -1 : 0, "RAM");
    fclose(file);
    struct kvm_userspace_memory_region slot = {
        .memory_size = size, .userspace_addr = (uintptr_t)ram
    };
    checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
}

static void set_cpuid(int kvm, int vcpu)
{
    struct kvm_cpuid2 *table =
        calloc(1, sizeof *table + ENTRIES * sizeof(struct kvm_cpuid_entry2));
    table->nent = ENTRIES;
    checked(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, table), "KVM_GET_SUPPORTED_CPUID");
    checked(ioctl(vcpu, KVM_SET_CPUID2, table), "KVM_SET_CPUID2");
    free(table);
}

static void set_registers(int vcpu, int is_long, uint64_t start, uint64_t rcx)
{
    struct kvm_sregs sregs;
    checked(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    struct kvm_segment *data[] = { &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss };
    sregs.cs.base = sregs.cs.selector = 0;
    for (int number = 0; number < 5; number++)
        data[number]->base = data[number]->selector = 0;
    if (is_long) {
        sregs.cr0 = 0x80000011;
        sregs.cr3 = PML4;
        sregs.cr4 = 0x20;
        sregs.efer = 0x500;
        sregs.cs = (struct kvm_segment){ .limit = 0xFFFFFFFF, .selector = 0x0B, .type = 11,
            .present = 1, .dpl = 3, .s = 1, .l = 1, .g = 1 };
        struct kvm_segment flat = { .limit = 0xFFFFFFFF, .selector = 0x13, .type = 3,
            .present = 1, .dpl = 3, .s = 1, .db = 1, .g = 1 };
        for (int number = 0; number < 5; number++)
            *data[number] = flat;
    }
    checked(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    struct kvm_regs regs = { .rip = start, .rcx = rcx, .rflags = is_long ? 0x3002 : 2 };
    checked(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void take_exits(int vcpu, struct kvm_run *run, long count)
{
    while (count--) {
        checked(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
        switch (run->exit_reason) {
        case KVM_EXIT_MMIO:
            if (!run->mmio.is_write)
                run->mmio.data[0] = ANSWER;
            break;
        case KVM_EXIT_IO:
            if (run->io.direction == KVM_EXIT_IO_IN)
                ((uint8_t *)run)[run->io.data_offset] = ANSWER;
            break;
        default:
            fprintf(stderr, "exit reason %u\n", run->exit_reason);
            exit(1);
        }
    }
}

static void make_calls(int kvm, long count)
{
    while (count--)
        checked(ioctl(kvm, KVM_GET_API_VERSION, 0), "KVM_GET_API_VERSION");
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

int main(int count, char **arguments)
{
    if (count != 5)
        return 2;
    int kvm = checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    int vm = checked(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    load(vm, arguments[2]);
    int vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    int size = checked(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_run *run =
        mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    checked(run == MAP_FAILED ? -1 : 0, "mmap of the vCPU");
    set_cpuid(kvm, vcpu);
    uint64_t start = strtoul(arguments[3], NULL, 0), rcx = strtoul(arguments[4], NULL, 0);
    set_registers(vcpu, !strcmp(arguments[1], "long"), start, rcx);
    for (long exits; scanf("%ld", &exits) == 1;) {
        long began = now();
        if (!strcmp(arguments[1], "call"))
            make_calls(kvm, exits);
        else
            take_exits(vcpu, run, exits);
        printf("%ld\n", now() - began);
        fflush(stdout);
    }
    return 0;
}
