# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's interface as data: ioctl numbers, capabilities, exit reasons, layouts.

Names, numbers and layouts are those of "The Definitive KVM (Kernel-based Virtual Machine) API
Documentation" and of the kernel's user headers linux/kvm.h and asm/kvm.h, for x86. All are part
of the kernel's stable interface. Offsets and sizes are in bytes.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct
from typing import NamedTuple

API_VERSION = 12
PAGE_SIZE = 4096


class Request(NamedTuple):
    """One ioctl: its name, for errors, and its number."""

    name: str
    number: int


# The device itself.
KVM_GET_API_VERSION = Request("KVM_GET_API_VERSION", 0xAE00)
KVM_CREATE_VM = Request("KVM_CREATE_VM", 0xAE01)
KVM_GET_MSR_INDEX_LIST = Request("KVM_GET_MSR_INDEX_LIST", 0xC004AE02)
KVM_CHECK_EXTENSION = Request("KVM_CHECK_EXTENSION", 0xAE03)
KVM_GET_VCPU_MMAP_SIZE = Request("KVM_GET_VCPU_MMAP_SIZE", 0xAE04)
KVM_GET_SUPPORTED_CPUID = Request("KVM_GET_SUPPORTED_CPUID", 0xC008AE05)
# A virtual machine.
KVM_CREATE_VCPU = Request("KVM_CREATE_VCPU", 0xAE41)
KVM_GET_DIRTY_LOG = Request("KVM_GET_DIRTY_LOG", 0x4010AE42)
KVM_SET_USER_MEMORY_REGION = Request("KVM_SET_USER_MEMORY_REGION", 0x4020AE46)
KVM_SET_TSS_ADDR = Request("KVM_SET_TSS_ADDR", 0xAE47)
KVM_SET_IDENTITY_MAP_ADDR = Request("KVM_SET_IDENTITY_MAP_ADDR", 0x4008AE48)
KVM_CREATE_IRQCHIP = Request("KVM_CREATE_IRQCHIP", 0xAE60)
KVM_IRQ_LINE = Request("KVM_IRQ_LINE", 0x4008AE61)
KVM_GET_IRQCHIP = Request("KVM_GET_IRQCHIP", 0xC208AE62)
KVM_SET_IRQCHIP = Request("KVM_SET_IRQCHIP", 0x8208AE63)
KVM_SET_GSI_ROUTING = Request("KVM_SET_GSI_ROUTING", 0x4008AE6A)
KVM_IRQFD = Request("KVM_IRQFD", 0x4020AE76)
KVM_CREATE_PIT2 = Request("KVM_CREATE_PIT2", 0x4040AE77)
KVM_IOEVENTFD = Request("KVM_IOEVENTFD", 0x4040AE79)
KVM_SET_BOOT_CPU_ID = Request("KVM_SET_BOOT_CPU_ID", 0xAE78)
KVM_GET_PIT2 = Request("KVM_GET_PIT2", 0x8070AE9F)
KVM_SET_PIT2 = Request("KVM_SET_PIT2", 0x4070AEA0)
KVM_ENABLE_CAP = Request("KVM_ENABLE_CAP", 0x4068AEA3)
KVM_SIGNAL_MSI = Request("KVM_SIGNAL_MSI", 0x4020AEA5)
# A vCPU.
KVM_RUN = Request("KVM_RUN", 0xAE80)
KVM_GET_REGS = Request("KVM_GET_REGS", 0x8090AE81)
KVM_SET_REGS = Request("KVM_SET_REGS", 0x4090AE82)
KVM_GET_SREGS = Request("KVM_GET_SREGS", 0x8138AE83)
KVM_SET_SREGS = Request("KVM_SET_SREGS", 0x4138AE84)
KVM_TRANSLATE = Request("KVM_TRANSLATE", 0xC018AE85)
KVM_INTERRUPT = Request("KVM_INTERRUPT", 0x4004AE86)
KVM_GET_MSRS = Request("KVM_GET_MSRS", 0xC008AE88)
KVM_SET_MSRS = Request("KVM_SET_MSRS", 0x4008AE89)
KVM_SET_SIGNAL_MASK = Request("KVM_SET_SIGNAL_MASK", 0x4004AE8B)
KVM_GET_LAPIC = Request("KVM_GET_LAPIC", 0x8400AE8E)
KVM_SET_LAPIC = Request("KVM_SET_LAPIC", 0x4400AE8F)
KVM_SET_CPUID2 = Request("KVM_SET_CPUID2", 0x4008AE90)
KVM_GET_CPUID2 = Request("KVM_GET_CPUID2", 0xC008AE91)
KVM_GET_MP_STATE = Request("KVM_GET_MP_STATE", 0x8004AE98)
KVM_SET_MP_STATE = Request("KVM_SET_MP_STATE", 0x4004AE99)
KVM_NMI = Request("KVM_NMI", 0xAE9A)
KVM_SET_GUEST_DEBUG = Request("KVM_SET_GUEST_DEBUG", 0x4048AE9B)
KVM_GET_VCPU_EVENTS = Request("KVM_GET_VCPU_EVENTS", 0x8040AE9F)
KVM_SET_VCPU_EVENTS = Request("KVM_SET_VCPU_EVENTS", 0x4040AEA0)
KVM_GET_DEBUGREGS = Request("KVM_GET_DEBUGREGS", 0x8080AEA1)
KVM_SET_DEBUGREGS = Request("KVM_SET_DEBUGREGS", 0x4080AEA2)
KVM_GET_XSAVE = Request("KVM_GET_XSAVE", 0x9000AEA4)
KVM_SET_XSAVE = Request("KVM_SET_XSAVE", 0x5000AEA5)
KVM_GET_XSAVE2 = Request("KVM_GET_XSAVE2", 0x9000AECF)
KVM_GET_XCRS = Request("KVM_GET_XCRS", 0x8188AEA6)
KVM_SET_XCRS = Request("KVM_SET_XCRS", 0x4188AEA7)


class Cap(IntEnum):
    """KVM_CAP_*: what KVM_CHECK_EXTENSION is asked for, and KVM_ENABLE_CAP given."""

    IRQCHIP = 0
    USER_MEMORY = 3
    SET_TSS_ADDR = 4
    EXT_CPUID = 7
    NR_VCPUS = 9
    NR_MEMSLOTS = 10
    MP_STATE = 14
    SYNC_MMU = 16
    DESTROY_MEMORY_REGION_WORKS = 21
    USER_NMI = 22
    SET_GUEST_DEBUG = 23
    REINJECT_CONTROL = 24
    IRQ_ROUTING = 25
    MCE = 31
    IRQFD = 32
    PIT2 = 33
    SET_BOOT_CPU_ID = 34
    PIT_STATE2 = 35
    IOEVENTFD = 36
    SET_IDENTITY_MAP_ADDR = 37
    ADJUST_CLOCK = 39
    VCPU_EVENTS = 41
    INTR_SHADOW = 49
    DEBUGREGS = 50
    X86_ROBUST_SINGLESTEP = 51
    XSAVE = 55
    XCRS = 56
    TSC_CONTROL = 60
    GET_TSC_KHZ = 61
    MAX_VCPUS = 66
    TSC_DEADLINE_TIMER = 72
    SYNC_REGS = 74
    SIGNAL_MSI = 77
    READONLY_MEM = 81
    IRQFD_RESAMPLE = 82
    ENABLE_CAP_VM = 98
    IOEVENTFD_NO_LENGTH = 100
    CHECK_EXTENSION_VM = 105
    SPLIT_IRQCHIP = 121
    IOEVENTFD_ANY_LENGTH = 122
    MAX_VCPU_ID = 128
    X2APIC_API = 129
    IMMEDIATE_EXIT = 136
    X86_DISABLE_EXITS = 143
    NESTED_STATE = 157
    EXCEPTION_PAYLOAD = 164
    X86_USER_SPACE_MSR = 188
    X86_MSR_FILTER = 189
    SET_GUEST_DEBUG2 = 195
    SREGS2 = 200
    EXIT_ON_EMULATION_FAILURE = 204
    VM_GPA_BITS = 207
    XSAVE2 = 208
    X86_TRIPLE_FAULT_EVENT = 218


class Exit(IntEnum):
    """KVM_EXIT_*: `exit_reason` of struct kvm_run."""

    UNKNOWN = 0
    EXCEPTION = 1
    IO = 2
    HYPERCALL = 3
    DEBUG = 4
    HLT = 5
    MMIO = 6
    IRQ_WINDOW_OPEN = 7
    SHUTDOWN = 8
    FAIL_ENTRY = 9
    INTR = 10
    SET_TPR = 11
    TPR_ACCESS = 12
    NMI = 16
    INTERNAL_ERROR = 17
    WATCHDOG = 21
    SYSTEM_EVENT = 24
    IOAPIC_EOI = 26
    HYPERV = 27
    X86_RDMSR = 29
    X86_WRMSR = 30
    DIRTY_RING_FULL = 31
    X86_BUS_LOCK = 33
    XEN = 34
    NOTIFY = 37


class InternalError(IntEnum):
    """KVM_INTERNAL_ERROR_*: `suberror` of an INTERNAL_ERROR exit."""

    EMULATION = 1
    SIMUL_EX = 2
    DELIVERY_EV = 3
    UNEXPECTED_EXIT_REASON = 4


class MpState(IntEnum):
    """KVM_MP_STATE_*: what a vCPU with an in-kernel local APIC is doing."""

    RUNNABLE = 0
    UNINITIALIZED = 1
    INIT_RECEIVED = 2
    HALTED = 3
    SIPI_RECEIVED = 4


# -- struct kvm_run, which the vCPU's descriptor maps ---------------------------------------------

RUN_REQUEST_INTERRUPT_WINDOW = 0  # u8
RUN_IMMEDIATE_EXIT = 1  # u8
RUN_EXIT_REASON = 8  # u32
RUN_READY_FOR_INTERRUPT = 12  # u8
RUN_IF_FLAG = 13  # u8
RUN_FLAGS = 14  # u16
RUN_CR8 = 16  # u64
RUN_APIC_BASE = 24  # u64
RUN_UNION = 32  # 256 bytes, by exit reason
RUN_VALID_REGS = 288  # u64
RUN_DIRTY_REGS = 296  # u64
RUN_SYNC = 304  # struct kvm_sync_regs
SYNC_REGS = RUN_SYNC  # struct kvm_regs
SYNC_SREGS = RUN_SYNC + 144  # struct kvm_sregs
SYNC_EVENTS = RUN_SYNC + 456  # struct kvm_vcpu_events

# What the union holds; the structures lie at RUN_UNION.
RUN_HEAD = Struct("<BB6xIBBHQQ")  # from offset 0 to the union
EXIT_UNKNOWN = Struct("<Q")  # hardware_exit_reason
EXIT_FAIL_ENTRY = Struct("<QI")  # hardware_entry_failure_reason, cpu
EXIT_IO = Struct("<BBHIQ")  # direction, size, port, count, data_offset from kvm_run's start
IO_IN, IO_OUT = 0, 1
EXIT_MMIO = Struct("<Q8sIB")  # phys_addr, data, len, is_write
MMIO_DATA = RUN_UNION + 8
EXIT_DEBUG = Struct("<I4x3Q")  # exception, pc, dr6, dr7
EXIT_MSR = Struct("<B7xIIQ")  # error, reason, index, data
MSR_ERROR = RUN_UNION
MSR_DATA = RUN_UNION + 16
EXIT_INTERNAL = Struct("<II16Q")  # suberror, ndata, data
EXIT_EMULATION_FAILURE = Struct("<IIQB15s")  # suberror, ndata, flags, insn_size, insn_bytes
EMULATION_HAS_BYTES = 1  # in its flags
EXIT_SYSTEM_EVENT = Struct("<II16Q")  # type, ndata, data
EXIT_IOAPIC_EOI = Struct("<B")  # vector


class SyncRegs(IntFlag):
    """KVM_SYNC_X86_*: register classes in kvm_valid_regs and kvm_dirty_regs."""

    REGS = 1
    SREGS = 2
    EVENTS = 4


class MsrReason(IntFlag):
    """KVM_MSR_EXIT_REASON_*: why an MSR access leaves the kernel."""

    INVAL = 1
    UNKNOWN = 2
    FILTER = 4


# -- a vCPU's state -----------------------------------------------------------------------------

REGS = Struct("<18Q")
#: Order of the fields of REGS.
REG_NAMES = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"),
)
#: base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable
SEGMENT = Struct("<QIH9Bx")
DTABLE = Struct("<QH6x")  # base, limit
#: Order of the segments of struct kvm_sregs; GDT and IDT, as DTABLE, follow them.
SREGS_SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt")
SREGS_SIZE, SREGS2_SIZE = 312, 320
SREGS_GDT, SREGS_IDT = 192, 208
SREGS_CONTROL = 224
CONTROL = Struct("<7Q")  # cr0, cr2, cr3, cr4, cr8, efer, apic_base
SREGS_INTERRUPT_BITMAP = 280
INTERRUPT_BITMAP = Struct("<4Q")
SREGS2_TAIL = Struct("<5Q")  # flags, pdptrs; at SREGS_INTERRUPT_BITMAP of struct kvm_sregs2
SREGS2_PDPTRS_VALID = 1

#: exception: injected, nr, has_error_code, pending, error_code; interrupt: injected, nr, soft,
#: shadow; nmi: injected, pending, masked; sipi_vector; flags; smi: smm, pending,
#: smm_inside_nmi, latched_init; triple_fault pending; exception_has_payload, exception_payload
VCPU_EVENTS = Struct("<4BI4B3Bx2I4BB26xBQ")


class EventsValid(IntFlag):
    """KVM_VCPUEVENT_VALID_*: `flags` of struct kvm_vcpu_events."""

    NMI_PENDING = 0x01
    SIPI_VECTOR = 0x02
    SHADOW = 0x04
    SMM = 0x08
    PAYLOAD = 0x10
    TRIPLE_FAULT = 0x20


SHADOW_MOV_SS, SHADOW_STI = 1, 2

DEBUGREGS = Struct("<4Q3Q72x")  # db[4], dr6, dr7, flags
GUEST_DEBUG = Struct("<I4x8Q")  # control, debugreg[8]


class GuestDebug(IntFlag):
    """KVM_GUESTDBG_*: `control` of struct kvm_guest_debug."""

    ENABLE = 0x1
    SINGLESTEP = 0x2
    USE_SW_BP = 0x0001_0000
    USE_HW_BP = 0x0002_0000
    INJECT_DB = 0x0004_0000
    INJECT_BP = 0x0008_0000
    BLOCKIRQ = 0x0010_0000


MP_STATE = Struct("<I")
INTERRUPT = Struct("<I")  # vector
TRANSLATION = Struct("<QQBBB5x")  # linear_address, physical_address, valid, writeable, usermode
XSAVE_SIZE = 4096
LAPIC_SIZE = 1024
XCRS_HEAD = Struct("<II")  # nr_xcrs, flags; sixteen XCR follow, then 128 bytes
XCR = Struct("<I4xQ")
XCRS_SIZE = 392
MSRS_HEAD = Struct("<I4x")  # nmsrs; MSR_ENTRY follow
MSR_ENTRY = Struct("<I4xQ")  # index, data
SIGNAL_MASK = Struct("<IQ")  # length of the kernel's sigset, 8; the set
CPUID_HEAD = Struct("<I4x")  # nent; CPUID_ENTRY follow
CPUID_ENTRY = Struct("<7I12x")  # function, index, flags, eax, ebx, ecx, edx
CPUID_SIGNIFICANT_INDEX = 1  # in its flags

# -- a virtual machine's -------------------------------------------------------------------------

#: slot, flags, guest_phys_addr, memory_size, userspace_addr
USER_MEMORY_REGION = Struct("<II3Q")


class Mem(IntFlag):
    """KVM_MEM_*: flags of a memory slot."""

    LOG_DIRTY_PAGES = 1
    READONLY = 2


DIRTY_LOG = Struct("<I4xQ")  # slot, address of the bitmap
ENABLE_CAP = Struct("<II4Q64x")  # cap, flags, args
MSR_LIST_HEAD = Struct("<I")  # nmsrs; u32 indices follow
PIT_CONFIG = Struct("<I60x")  # flags
PIT_SPEAKER_DUMMY = 1
PIT_STATE_SIZE = 112  # struct kvm_pit_state2
IRQ_LEVEL = Struct("<II")  # irq, level
IRQCHIP_HEAD = Struct("<I4x")  # chip_id; 512 bytes of state follow
IRQCHIP_SIZE = 512


class Chip(IntEnum):
    """KVM_IRQCHIP_*: the interrupt controllers inside KVM."""

    PIC_MASTER = 0
    PIC_SLAVE = 1
    IOAPIC = 2


ROUTING_HEAD = Struct("<I4x")  # nr; ROUTING_CHIP or ROUTING_MSI follow
ROUTING_CHIP = Struct("<II8xII24x")  # gsi, type, irqchip, pin
ROUTING_MSI = Struct("<II8xIII20x")  # gsi, type, address_lo, address_hi, data
ROUTE_CHIP, ROUTE_MSI = 1, 2  # type
IRQFD = Struct("<4I16x")  # fd, gsi, flags, resamplefd
IRQFD_DEASSIGN, IRQFD_RESAMPLE = 1, 2
IOEVENTFD = Struct("<QQIiI36x")  # datamatch, addr, len, fd, flags
IOEVENTFD_DATAMATCH, IOEVENTFD_PIO, IOEVENTFD_DEASSIGN = 1, 2, 4
MSI = Struct("<5I12x")  # address_lo, address_hi, data, flags, devid
CLOCK = Struct("<QI4xQQ16x")  # clock, flags, realtime, host_tsc
