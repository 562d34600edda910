package wire

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const haveEpoll = true

// errAgain: the descriptor has nothing, or takes nothing, right now.
var errAgain error = unix.EAGAIN

// sysRead and sysWrite use the raw system calls: on a non-blocking descriptor
// they cannot block, so the scheduler need not be told. recvfrom and sendto
// reach the socket with fewer detours than read and write (measured: 4 % of an
// echo). Under the race detector it must see what the kernel touches.

func sysRead(fd int32, p []byte) (int, error) {
	for {
		if raceEnabled {
			n, err := unix.Read(int(fd), p)
			if err != unix.EINTR {
				return max(n, 0), err
			}
			continue
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, sysError(errno)
		}
	}
}

func sysWrite(fd int32, p []byte) (int, error) {
	for {
		if raceEnabled {
			n, err := unix.Write(int(fd), p)
			if err != unix.EINTR {
				return max(n, 0), err
			}
			continue
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, sysError(errno)
		}
	}
}

// sysError makes an error without allocating for the usual one.
func sysError(errno syscall.Errno) error {
	if errno == unix.EAGAIN {
		return errAgain
	}
	return errno
}

func sysClose(fd int32) { _ = unix.Close(int(fd)) }

func sysShutdown(fd int32) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }

// sysLinger makes close send RST.
func sysLinger(fd int32) {
	_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
