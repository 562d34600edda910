package xproto

import (
	"syscall"
	"unsafe"
)

func rawnano(t *syscall.Timespec) { syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(t)), 0, 0) }
