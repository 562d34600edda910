package main

import (
	"net"
	"runtime"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// serveRaw is the floor: a TCP echo with as many threads as there are cores,
// each in a blocking epoll_wait on its share of the descriptors, one read and
// one write a message and nothing else.
func serveRaw(ln net.Listener) error {
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	lfd := int(file.Fd())
	if err := unix.SetsockoptInt(lfd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	fds := make([]int, runtime.GOMAXPROCS(0))
	runtime.GOMAXPROCS(len(fds) + 2) // the loops keep theirs,
	debug.SetGCPercent(-1)           // and never stop for a collection
	for i := range fds {
		if fds[i], err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return err
		}
		go rawLoop(fds[i])
	}
	for i := 0; ; i++ {
		fd, _, err := unix.Accept4(lfd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(fds[i%len(fds)], unix.EPOLL_CTL_ADD, fd, &e); err != nil {
			return err
		}
	}
}

func rawLoop(epfd int) {
	runtime.LockOSThread()
	var events [256]unix.EpollEvent
	buf := make([]byte, 64<<10)
	for {
		// Raw: the thread keeps its P, so no scheduler gets between.
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), ^uintptr(0), 0, 0)
		if errno != 0 {
			continue // EINTR
		}
		for _, e := range events[:n] {
			k, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(e.Fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
			switch {
			case errno == unix.EAGAIN:
			case errno != 0 || k == 0:
				_ = unix.Close(int(e.Fd))
			default:
				_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(e.Fd), uintptr(unsafe.Pointer(&buf[0])), k, unix.MSG_NOSIGNAL, 0, 0)
			}
		}
	}
}
