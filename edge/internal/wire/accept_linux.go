package wire

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// serveRaw accepts descriptors for the loops. A net.Conn for each would register it
// with Go's poller, too.
func (s *Server) serveRaw(ln *net.TCPListener) error {
	// A listener's own RawConn cannot be waited on; its duplicate's can.
	file, err := ln.File()
	_ = ln.Close()
	if err != nil {
		return err
	}
	if !s.track(file) {
		_ = file.Close()
		return ErrServerClosed
	}
	defer s.untrack(file)
	return s.acceptFrom(file)
}

// acceptFrom accepts descriptors until that fails, or the server closes the file, which
// it may do at any moment.
func (s *Server) acceptFrom(file *os.File) error {
	raw, err := file.SyscallConn()
	if err == nil {
		err = inheritOptions(raw)
	}
	if err != nil {
		return s.ended(err)
	}
	var pause time.Duration
	var fd int32
	var peer netip.AddrPort
	var failed error
	accept := func(lfd uintptr) bool {
		fd, peer, failed = sysAccept(lfd)
		return failed != unix.EAGAIN
	}
	for {
		err := raw.Read(accept)
		switch {
		case err != nil:
			return s.ended(err)
		case failed == nil:
			pause = 0
			s.acceptRaw(fd, peer)
		case temporary(failed):
			if failed != unix.EINTR && failed != unix.ECONNABORTED {
				pause = s.backOff(pause, failed)
			}
		default:
			return os.NewSyscallError("accept4", failed)
		}
	}
}

// ended says why there is no more to accept. What a closed file answers depends on what
// it was asked.
func (s *Server) ended(err error) error {
	if s.isClosed() {
		return ErrServerClosed
	}
	return err
}

// inheritOptions sets options on the listener that accepted sockets inherit on
// Linux.
func inheritOptions(raw syscall.RawConn) error {
	var err error
	ctl := raw.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
		)
	})
	return errors.Join(ctl, err)
}

func (s *Server) acceptRaw(fd int32, peer netip.AddrPort) {
	c := s.newConn(peer)
	if c == nil {
		sysLinger(fd)
		sysClose(fd)
		return
	}
	c.fd = fd
	s.post(c)
}

// temporary reports whether a later accept may succeed.
func temporary(err error) bool {
	for _, e := range []error{unix.EINTR, unix.ECONNABORTED, unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EPROTO, unix.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// takeSocket turns a connection's descriptor into a net.Conn, for net/http.
func (c *Conn) takeSocket() (net.Conn, error) {
	c.l.unregister(c)
	file := os.NewFile(uintptr(c.fd), "socket")
	c.fd = -1
	defer func() { _ = file.Close() }() // FileConn has its own duplicate
	return net.FileConn(file)
}

// takeBack takes the descriptor of what takeSocket has made. It stays non-blocking, which
// its duplicates share.
func (c *Conn) takeBack(nc net.Conn) error {
	defer func() { _ = nc.Close() }()
	socket, ok := nc.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var own int
		if own, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); failed == nil {
			c.fd = int32(own)
		}
	})
	return errors.Join(err, failed)
}
