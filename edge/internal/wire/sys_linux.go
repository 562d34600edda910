package wire

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const haveEpoll = true

// errAgain: the descriptor has nothing, or takes nothing, right now.
const errAgain = syscall.EAGAIN

// sysRead and sysWrite use the raw system calls: on a non-blocking descriptor
// they cannot block, so the scheduler need not be told. Under the race
// detector they do not, for it must see what the kernel touches.

func sysRead(fd int32, p []byte) (int, error) {
	for {
		var n int
		var err error
		if raceEnabled {
			n, err = unix.Read(int(fd), p)
		} else {
			r, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
			if n = int(r); errno != 0 {
				n, err = 0, errno
			}
		}
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func sysWrite(fd int32, p []byte) (int, error) {
	for {
		var n int
		var err error
		if raceEnabled {
			n, err = unix.Write(int(fd), p)
		} else {
			r, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
			if n = int(r); errno != 0 {
				n, err = 0, errno
			}
		}
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func sysClose(fd int32) { _ = unix.Close(int(fd)) }

func sysShutdown(fd int32) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }

// sysLinger makes close send RST.
func sysLinger(fd int32) {
	_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
