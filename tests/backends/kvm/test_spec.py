# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Numbers and layouts are those of the kernel's user headers, as a C compiler sees them."""

import subprocess
import sys

import pytest

from system_tools import require
from vmmkit.backends.kvm import _spec as spec

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the headers are Linux's")

SECONDS = 60
ENUMS = {
    spec.Cap: "KVM_CAP_",
    spec.Exit: "KVM_EXIT_",
    spec.MpState: "KVM_MP_STATE_",
    spec.SyncRegs: "KVM_SYNC_X86_",
    spec.MsrReason: "KVM_MSR_EXIT_REASON_",
    spec.EventsValid: "KVM_VCPUEVENT_VALID_",
    spec.GuestDebug: "KVM_GUESTDBG_",
    spec.Mem: "KVM_MEM_",
    spec.Chip: "KVM_IRQCHIP_",
    spec.InternalError: "KVM_INTERNAL_ERROR_",
}
RUN = "offsetof(struct kvm_run, {})"
SREGS = "offsetof(struct kvm_sregs, {})"
NUMBERS = {
    "KVM_API_VERSION": spec.API_VERSION,
    RUN.format("request_interrupt_window"): spec.RUN_REQUEST_INTERRUPT_WINDOW,
    RUN.format("immediate_exit"): spec.RUN_IMMEDIATE_EXIT,
    RUN.format("exit_reason"): spec.RUN_EXIT_REASON,
    RUN.format("ready_for_interrupt_injection"): spec.RUN_READY_FOR_INTERRUPT,
    RUN.format("if_flag"): spec.RUN_IF_FLAG,
    RUN.format("flags"): spec.RUN_FLAGS,
    RUN.format("cr8"): spec.RUN_CR8,
    RUN.format("apic_base"): spec.RUN_APIC_BASE,
    RUN.format("hw"): spec.RUN_UNION,
    RUN.format("kvm_valid_regs"): spec.RUN_VALID_REGS,
    RUN.format("kvm_dirty_regs"): spec.RUN_DIRTY_REGS,
    RUN.format("s.regs.regs"): spec.SYNC_REGS,
    RUN.format("s.regs.sregs"): spec.SYNC_SREGS,
    RUN.format("s.regs.events"): spec.SYNC_EVENTS,
    RUN.format("mmio.data"): spec.MMIO_DATA,
    RUN.format("msr.error"): spec.MSR_ERROR,
    RUN.format("msr.data"): spec.MSR_DATA,
    SREGS.format("gdt"): spec.SREGS_GDT,
    SREGS.format("idt"): spec.SREGS_IDT,
    SREGS.format("cr0"): spec.SREGS_CONTROL,
    SREGS.format("interrupt_bitmap"): spec.SREGS_INTERRUPT_BITMAP,
    "offsetof(struct kvm_sregs2, flags)": spec.SREGS_INTERRUPT_BITMAP,
    "sizeof(struct kvm_sregs)": spec.SREGS_SIZE,
    "sizeof(struct kvm_sregs2)": spec.SREGS2_SIZE,
    "KVM_SREGS2_FLAGS_PDPTRS_VALID": spec.SREGS2_PDPTRS_VALID,
    "sizeof(struct kvm_xsave)": spec.XSAVE_SIZE,
    "sizeof(struct kvm_lapic_state)": spec.LAPIC_SIZE,
    "sizeof(struct kvm_xcrs)": spec.XCRS_SIZE,
    "offsetof(struct kvm_xcrs, xcrs)": spec.XCRS_HEAD.size,
    "sizeof(struct kvm_pit_state2)": spec.PIT_STATE_SIZE,
    "sizeof(struct kvm_irqchip)": spec.IRQCHIP_HEAD.size + spec.IRQCHIP_SIZE,
    "KVM_EXIT_IO_IN": spec.IO_IN,
    "KVM_EXIT_IO_OUT": spec.IO_OUT,
    "KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES": spec.EMULATION_HAS_BYTES,
    "KVM_X86_SHADOW_INT_MOV_SS": spec.SHADOW_MOV_SS,
    "KVM_X86_SHADOW_INT_STI": spec.SHADOW_STI,
    "KVM_CPUID_FLAG_SIGNIFCANT_INDEX": spec.CPUID_SIGNIFICANT_INDEX,
    "KVM_PIT_SPEAKER_DUMMY": spec.PIT_SPEAKER_DUMMY,
    "KVM_IRQ_ROUTING_IRQCHIP": spec.ROUTE_CHIP,
    "KVM_IRQ_ROUTING_MSI": spec.ROUTE_MSI,
    "KVM_IRQFD_FLAG_DEASSIGN": spec.IRQFD_DEASSIGN,
    "KVM_IRQFD_FLAG_RESAMPLE": spec.IRQFD_RESAMPLE,
    "KVM_IOEVENTFD_FLAG_DATAMATCH": spec.IOEVENTFD_DATAMATCH,
    "KVM_IOEVENTFD_FLAG_PIO": spec.IOEVENTFD_PIO,
    "KVM_IOEVENTFD_FLAG_DEASSIGN": spec.IOEVENTFD_DEASSIGN,
}
HEAD_FIELDS = (
    "request_interrupt_window immediate_exit exit_reason ready_for_interrupt_injection if_flag "
    "flags cr8 apic_base"
)
EVENT_FIELDS = (
    "exception.injected exception.nr exception.has_error_code exception.pending "
    "exception.error_code interrupt.injected interrupt.nr interrupt.soft interrupt.shadow "
    "nmi.injected nmi.pending nmi.masked sipi_vector flags smi.smm smi.pending "
    "smi.smm_inside_nmi smi.latched_init triple_fault.pending exception_has_payload "
    "exception_payload"
)
#: Per layout, the structure or place in C, and its fields in order.
LAYOUTS = [
    (spec.RUN_HEAD, "kvm_run", HEAD_FIELDS),
    (spec.EXIT_UNKNOWN, "kvm_run hw", "hardware_exit_reason"),
    (spec.EXIT_FAIL_ENTRY, "kvm_run fail_entry", "hardware_entry_failure_reason cpu"),
    (spec.EXIT_IO, "kvm_run io", "direction size port count data_offset"),
    (spec.EXIT_MMIO, "kvm_run mmio", "phys_addr data len is_write"),
    (spec.EXIT_DEBUG, "kvm_run debug.arch", "exception pc dr6 dr7"),
    (spec.EXIT_MSR, "kvm_run msr", "error reason index data"),
    (spec.EXIT_INTERNAL, "kvm_run internal", "suberror ndata data"),
    (spec.EXIT_EMULATION_FAILURE, "kvm_run emulation_failure",
     "suberror ndata flags insn_size insn_bytes"),
    (spec.EXIT_SYSTEM_EVENT, "kvm_run system_event", "type ndata data"),
    (spec.EXIT_IOAPIC_EOI, "kvm_run eoi", "vector"),
    (spec.REGS, "kvm_regs", " ".join(spec.REG_NAMES)),
    (spec.SEGMENT, "kvm_segment", "base limit selector type present dpl db s l g avl unusable"),
    (spec.DTABLE, "kvm_dtable", "base limit"),
    (spec.VCPU_EVENTS, "kvm_vcpu_events", EVENT_FIELDS),
    (spec.DEBUGREGS, "kvm_debugregs", "db[0] db[1] db[2] db[3] dr6 dr7 flags"),
    (spec.GUEST_DEBUG, "kvm_guest_debug", "control " + " ".join(
        f"arch.debugreg[{number}]" for number in range(8))),
    (spec.MP_STATE, "kvm_mp_state", "mp_state"),
    (spec.INTERRUPT, "kvm_interrupt", "irq"),
    (spec.TRANSLATION, "kvm_translation",
     "linear_address physical_address valid writeable usermode"),
    (spec.XCR, "kvm_xcr", "xcr value"),
    (spec.XCRS_HEAD, "kvm_xcrs", "nr_xcrs flags"),
    (spec.MSRS_HEAD, "kvm_msrs", "nmsrs"),
    (spec.MSR_ENTRY, "kvm_msr_entry", "index data"),
    (spec.SIGNAL_MASK, "kvm_signal_mask", "len sigset"),
    (spec.CPUID_HEAD, "kvm_cpuid2", "nent"),
    (spec.CPUID_ENTRY, "kvm_cpuid_entry2", "function index flags eax ebx ecx edx"),
    (spec.USER_MEMORY_REGION, "kvm_userspace_memory_region",
     "slot flags guest_phys_addr memory_size userspace_addr"),
    (spec.DIRTY_LOG, "kvm_dirty_log", "slot dirty_bitmap"),
    (spec.ENABLE_CAP, "kvm_enable_cap", "cap flags args[0] args[1] args[2] args[3]"),
    (spec.MSR_LIST_HEAD, "kvm_msr_list", "nmsrs"),
    (spec.PIT_CONFIG, "kvm_pit_config", "flags"),
    (spec.IRQ_LEVEL, "kvm_irq_level", "irq level"),
    (spec.IRQCHIP_HEAD, "kvm_irqchip", "chip_id"),
    (spec.ROUTING_HEAD, "kvm_irq_routing", "nr"),
    (spec.ROUTING_CHIP, "kvm_irq_routing_entry", "gsi type u.irqchip.irqchip u.irqchip.pin"),
    (spec.ROUTING_MSI, "kvm_irq_routing_entry",
     "gsi type u.msi.address_lo u.msi.address_hi u.msi.data"),
    (spec.IRQFD, "kvm_irqfd", "fd gsi flags resamplefd"),
    (spec.IOEVENTFD, "kvm_ioeventfd", "datamatch addr len fd flags"),
    (spec.MSI, "kvm_msi", "address_lo address_hi data flags devid"),
    (spec.CLOCK, "kvm_clock_data", "clock flags realtime host_tsc"),
]  # fmt: skip
#: What the headers of some systems do not have yet: not looked at there.
NEWER = {
    "KVM_GET_SREGS2",
    "KVM_SET_SREGS2",
    "KVM_GET_XSAVE2",
    "KVM_CAP_SREGS2",
    "KVM_CAP_EXIT_ON_EMULATION_FAILURE",
    "KVM_CAP_VM_GPA_BITS",
    "KVM_CAP_XSAVE2",
    "KVM_CAP_X86_TRIPLE_FAULT_EVENT",
    "KVM_EXIT_NOTIFY",
}
#: Layouts that stop before the end of the structure: heads of lists, and parts of struct kvm_run.
HEADS = {spec.XCRS_HEAD, spec.IRQCHIP_HEAD, spec.SIGNAL_MASK, spec.RUN_HEAD}


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """Have C print expressions; those whose names the headers do not know are left out."""
    compiler, place = require("cc"), tmp_path_factory.mktemp("headers")

    def run(expressions):
        rows = []
        for number, text in enumerate(expressions):
            row = f'printf("{number} %llu\\n", (unsigned long long)({text}));'
            rows.append(f"#ifdef {text}\n{row}\n#endif" if text in NEWER else row)
        source = place / "spec.c"
        source.write_text(
            "#include <stddef.h>\n#include <stdio.h>\n#include <linux/kvm.h>\n"
            "int main(void) {\n" + "\n".join(rows) + "\nreturn 0; }\n"
        )
        program = place / "spec"
        subprocess.run([compiler, "-w", source, "-o", program], check=True, timeout=SECONDS)
        done = subprocess.run(
            [program], check=True, timeout=SECONDS, capture_output=True, text=True
        )
        pairs = (line.split() for line in done.stdout.splitlines())
        return {expressions[int(number)]: int(value) for number, value in pairs}

    return run


def test_numbers(evaluate):
    requests = {
        name: each.number for name, each in vars(spec).items() if isinstance(each, spec.Request)
    }
    assert all(getattr(spec, name).name == name for name in requests)
    members = {
        prefix + member.name: int(member) for kind, prefix in ENUMS.items() for member in kind
    }
    wanted = {**requests, **members, **NUMBERS}
    found = evaluate([*wanted])
    assert {**wanted, **found} == wanted
    assert set(wanted) - set(found) <= NEWER


def fields_of(layout):
    """Offset and size of each field of a layout: the bytes that make a difference to it."""
    size = layout.size
    places = {}
    for place in range(size):
        raw = bytes(place) + b"\1" + bytes(size - place - 1)
        for number, value in enumerate(layout.unpack(raw)):
            if any(value) if isinstance(value, bytes) else value:
                places.setdefault(number, []).append(place)
    return [(min(found), len(found)) for _, found in sorted(places.items())]


def questions(struct, names):
    """What C is asked of a layout: the offsets of the fields, their sizes, and the whole size."""
    kind, *inner = struct.split()
    start = f"offsetof(struct {kind}, {inner[0]})" if inner else "0"
    paths = [".".join([*inner, name]) for name in names.split()]
    places = [f"offsetof(struct {kind}, {path}) - {start}" for path in paths]
    sizes = [f"sizeof(((struct {kind} *)0)->{path})" for path in paths if path != "sigset"]
    return places, sizes, f"sizeof(struct {kind})"


def test_layouts(evaluate):
    asked = [questions(struct, names) for _, struct, names in LAYOUTS]
    values = evaluate([text for *lists, size in asked for text in (*lists[0], *lists[1], size)])
    for (layout, struct, _), (places, sizes, whole) in zip(LAYOUTS, asked, strict=True):
        fields = fields_of(layout)
        found = [place for place, _ in fields][: len(places)]
        assert found == [values[text] for text in places], struct
        if len(fields) == len(sizes):
            assert [size for _, size in fields] == [values[text] for text in sizes], struct
        if " " not in struct and layout not in HEADS:
            assert layout.size == values[whole], struct
