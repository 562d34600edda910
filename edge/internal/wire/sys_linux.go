package wire

import (
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const haveEpoll = true

// errAgain means that the descriptor has nothing to read, or no room, right now.
var errAgain error = unix.EAGAIN

// All system calls of a loop are raw ones. On a non-blocking descriptor they cannot
// block, so the scheduler need not know of them. A normal call would also make
// the scheduler wake its monitor thread after each quiet moment of the process,
// which was 16 % of the CPU of an upgrade. recvfrom and sendto reach a socket with
// fewer detours than read and write (4 % of an echo). Under the race detector,
// which must see the memory that the kernel touches, package unix reads and
// writes.

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

// sysError makes an error of errno, without allocating for the usual one.
func sysError(errno syscall.Errno) error {
	if errno == unix.EAGAIN {
		return errAgain
	}
	return errno
}

func sysClose(fd int32) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

func sysShutdown(fd int32) {
	_, _, _ = unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// sysLinger makes close send RST.
func sysLinger(fd int32) {
	l := unix.Linger{Onoff: 1}
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
}

func sysEpollCtl(epfd, op int, fd int32, e *unix.EpollEvent) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(e)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// sysAccept accepts a connection as a non-blocking descriptor.
func sysAccept(lfd uintptr) (fd int32, peer netip.AddrPort, err error) {
	var sa unix.RawSockaddrInet6 // large enough for IPv4 too
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, lfd, uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, peer, errno
	}
	var a netip.Addr
	switch sa.Family {
	case unix.AF_INET:
		a = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)).Addr)
	case unix.AF_INET6:
		a = netip.AddrFrom16(sa.Addr).Unmap()
	}
	port := (*[2]byte)(unsafe.Pointer(&sa.Port)) // in network order
	return int32(n), netip.AddrPortFrom(a, uint16(port[0])<<8|uint16(port[1])), nil
}

// acked asks the kernel how many bytes the peer's kernel has received, modulo 2^32,
// and whether more are on their way.
func (c *Conn) acked() (bytes uint32, waiting, ok bool) {
	c.tcpInfo(func(info *unix.TCPInfo) {
		bytes, waiting, ok = uint32(info.Bytes_acked), info.Unacked > 0 || info.Notsent_bytes > 0, true
	})
	return bytes, waiting, ok
}

// notSent reports whether the kernel has output that it could not send yet: the peer
// has no room for it, or the path.
func (c *Conn) notSent() (waits bool) {
	c.tcpInfo(func(info *unix.TCPInfo) { waits = info.Notsent_bytes > 0 })
	return waits
}

// tcpInfo calls f with what the kernel knows of the connection, if it says so.
func (c *Conn) tcpInfo(f func(*unix.TCPInfo)) {
	ask := func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			f(info)
		}
	}
	if c.nc == nil {
		ask(uintptr(c.fd))
		return
	}
	if s, is := c.nc.sock.(syscall.Conn); is {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(ask) // a closed socket: nothing is said
		}
	}
}
