#!/bin/sh
# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# The guest's first and only program: it prints what Linux made of the tables, each answer between
# two marked lines that report.py reads, and ends the machine. The kernel's command line sets
# $ending (poweroff or reboot), $button (yes: ask the monitor to press the power button first) and
# $patience (seconds for reading random numbers; empty: as long as it takes, since a processor
# without floating point cannot execute busybox's timeout).

export PATH=/bin
acpi=/sys/firmware/acpi

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module"; done
dmesg -n 1 # the log is one of the answers: nothing else may write between the marks

probe() {
    echo "@begin $1"
    "$1"
    echo "@end $1"
}

cpus() { grep -E '^(processor|apicid)' /proc/cpuinfo; }

tables() {
    for file in "$acpi"/tables/*; do
        [ -f "$file" ] && sha1sum "$file"
    done
}

clocks() { cat /sys/devices/system/clocksource/clocksource0/available_clocksource; }

acpi_devices() {
    for device in /sys/bus/acpi/devices/*; do
        echo "${device##*/} $(cat "$device/path" 2>/dev/null) $(cat "$device/uid" 2>/dev/null)"
    done
}

nodes() {
    for node in /sys/devices/system/node/node*; do
        echo "${node##*/} $(cat "$node/cpulist") $(cat "$node/distance")"
    done
}

root_bus_node() { cat /sys/bus/pci/devices/0000:00:00.0/numa_node; }

blocks() {
    for disk in /sys/block/vd*; do
        [ -d "$disk" ] && echo "${disk##*/} $(sha1sum <"/dev/${disk##*/}")"
    done
}

virtio() {
    for device in /sys/bus/virtio/devices/*; do readlink -f "$device"; done
}

interrupts() { cat /proc/interrupts; }
interrupts_before() { interrupts; }

# Causes interrupts. The kernel reads one source at a time: each in turn becomes the current one. A
# read whose interrupt does not arrive is given up, and so are those of the sources after it.
random() {
    for source in $(cat /sys/class/misc/hw_random/rng_available); do
        echo "$source" >/sys/class/misc/hw_random/rng_current &&
            ${patience:+timeout -s KILL "$patience"} \
                dd if=/dev/hwrng of=/dev/null bs=64 count=4 2>/dev/null || return
        echo "$source"
    done
}

pci() {
    for function in /sys/bus/pci/devices/*; do
        extended=$(dd if="$function/config" bs=4 skip=64 count=1 2>/dev/null | od -An -tx4)
        echo "function ${function##*/} $(wc -c <"$function/config") $(cat "$function/irq")" \
            "$extended"
        cat "$function/resource"
    done
}

fw_cfg() { cat /sys/firmware/qemu_fw_cfg/rev; }

presses() {
    cat "$acpi/interrupts/ff_pwr_btn" 2>/dev/null
    grep ACPI:Ged /proc/interrupts
}

power_button() {
    before=$(presses)
    echo "@ask system_powerdown"
    for _ in $(seq 50); do
        [ "$(presses)" != "$before" ] && break
        sleep 0.1
    done
    presses
}

log() { dmesg -r; }

[ "$button" = yes ] && probe power_button
probe cpus
probe tables
probe clocks
probe acpi_devices
probe nodes
probe root_bus_node
probe virtio
probe interrupts_before
probe random
probe blocks
probe interrupts
probe pci
probe fw_cfg
probe log
echo "@report complete"
dmesg -n 8
"$ending" -f
