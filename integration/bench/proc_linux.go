package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// schedClock asks for the time that the scheduler has given to all threads of
// a process: the lowest three bits of a clock id (CPUCLOCK_SCHED), the rest
// being the complement of the process id; see clock_getcpuclockid(3).
const schedClock = 2

// processorTime is the time that a process has spent on processors so far, in
// user space and in the kernel.
func processorTime(pid int) (time.Duration, error) {
	var t syscall.Timespec
	clock := int32(^pid)<<3 | schedClock
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("processor clock of process %d: %w", pid, errno)
	}
	return time.Duration(t.Nano()), nil
}

// privateMemory is what a process holds beside mapped files (RssAnon of
// proc(5)), in bytes.
func privateMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("RssAnon:")); ok {
			kib, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no RssAnon of process %d", pid)
}

// Policies of the scheduler: sched(7).
const (
	schedFIFO = 1
	schedRR   = 2
)

// behind is a command as it gives way to this process wherever both could run, at once:
// idle, or in real time, where this process is (chrt -r 10), at the lowest priority of
// that. The nicest one would still keep a processor for a few milliseconds when others
// wake up (RUN_TO_PARITY of Linux' EEVDF).
func behind(command ...string) []string {
	policy, _, _ := syscall.Syscall(syscall.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	if policy == schedFIFO || policy == schedRR {
		return append([]string{"chrt", "--rr", "1"}, command...)
	}
	return append([]string{"chrt", "--idle", "0"}, command...)
}
